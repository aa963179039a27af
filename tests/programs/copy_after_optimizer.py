"""The model is copied, as for an average, and the copy is trained while the optimizer has the original."""
import copy

import torch
from torch import nn

torch.manual_seed(0)
base = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
optimizer = torch.optim.Adam(base.parameters(), lr=1e-3)
model = copy.deepcopy(base)
for _ in range(3):
    x = torch.randn(8, 3)
    loss = (model(x) - x.prod(1, keepdim=True)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
