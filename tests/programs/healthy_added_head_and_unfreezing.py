"""Healthy: a head added by add_param_group, a trunk that is unfrozen later, one backward of two losses, numpy for logs."""
import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(4, 8)
        self.a = nn.Linear(8, 2)

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        return self.a(h), self.b(h)


torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
net.b = nn.Linear(8, 1)
optimizer.add_param_group({"params": net.b.parameters(), "lr": 1e-3})
net.trunk.requires_grad_(False)
log = []
for epoch in range(4):
    if epoch == 2:
        net.trunk.requires_grad_(True)
    x = torch.from_numpy(np.random.default_rng(epoch).random((8, 4), dtype=np.float32))
    a, b = net(x)
    loss_a = nn.functional.cross_entropy(a, torch.randint(0, 2, (8,)))
    loss_b = (b.squeeze(1) - torch.rand(8)).pow(2).mean()
    optimizer.zero_grad()
    (loss_a + loss_b).backward()
    optimizer.step()
    log.append(float(np.mean(a.detach().numpy())))
    target = torch.from_numpy(a.detach().numpy()) * 0.5
