"""LoRA on a base that is frozen on purpose: the adapters are in a plain list, and their gate becomes numbers."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Adapter(nn.Module):
    def __init__(self, base, rank=2):
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)
        self.up = nn.Parameter(torch.randn(base.out_features, rank) * 0.1)

    def forward(self, x):
        return x @ self.down.T @ self.up.T


class Adapted(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.adapters = [Adapter(layer) for layer in base if isinstance(layer, nn.Linear)]
        self.gate = nn.Parameter(torch.ones(2))
        self.classifier = nn.Linear(8, 3)

    def forward(self, x):
        adapters = iter(self.adapters)
        gates = [torch.tensor(g, requires_grad=True) for g in self.gate.tolist()]
        for layer in self.base:
            if isinstance(layer, nn.Linear):
                x = layer(x) + gates[0] * next(adapters)(x)
            else:
                x = layer(x)
        return self.classifier(x)


base = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
for p in base.parameters():
    p.requires_grad_(False)
model = Adapted(base)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
for _ in range(3):
    x, y = torch.randn(4, 8), torch.randint(0, 3, (4,))
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
