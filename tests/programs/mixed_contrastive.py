"""Momentum contrast: keys under no_grad, the queue and the momentum update are right; backward starts from one term
alone, and the projector is in a plain list."""
import copy

import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(10, 16)
        self.projector = [nn.Linear(16, 16), nn.Linear(16, 8)]
        self.rotation = nn.Linear(16, 4)

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        z = self.projector[1](torch.relu(self.projector[0](h)))
        return F.normalize(z, dim=1), self.rotation(h)


class Moco(nn.Module):
    def __init__(self, queue=32):
        super().__init__()
        self.query = Encoder()
        self.key = copy.deepcopy(self.query).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(8, queue), dim=0))

    @torch.no_grad()
    def follow(self, momentum=0.99):
        for slow, fast in zip(self.key.parameters(), self.query.parameters()):
            slow.data = slow.data * momentum + fast.data * (1 - momentum)

    @torch.no_grad()
    def enqueue(self, keys):
        self.queue = torch.cat([self.queue[:, len(keys):], keys.T], dim=1)

    def forward(self, first, second):
        q, rotation = self.query(first)
        with torch.no_grad():
            self.follow()
            k, _ = self.key(second)
        positive = (q * k).sum(1, keepdim=True)
        logits = torch.cat([positive, q @ self.queue.clone().detach()], dim=1) / 0.2
        self.enqueue(k)
        return logits, rotation


torch.manual_seed(0)
model = Moco()
optimizer = torch.optim.SGD((p for p in model.parameters() if p.requires_grad), lr=0.05)
for _ in range(3):
    x = torch.randn(8, 10)
    logits, rotation = model(x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x))
    contrast = F.cross_entropy(logits, torch.zeros(8, dtype=torch.long))
    turned = F.cross_entropy(rotation, torch.randint(0, 4, (8,)))
    loss = contrast + 0.5 * turned
    optimizer.zero_grad()
    contrast.backward()
    optimizer.step()
