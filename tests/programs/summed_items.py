"""A multi-task loss summed from `.item()`s and wrapped into a tensor again, for backward to have something."""
import torch
from torch import nn


class Multi(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.trunk = nn.Linear(5, 10)
        self.heads = nn.ModuleList(nn.Linear(10, 1) for _ in range(tasks))

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        return [head(h) for head in self.heads]


torch.manual_seed(0)
model = Multi(3)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(3):
    x, targets = torch.randn(8, 5), torch.randn(3, 8, 1)
    total = 0.0
    for out, target in zip(model(x), targets):
        total += nn.functional.mse_loss(out, target).item()
    loss = torch.tensor(total, requires_grad=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
