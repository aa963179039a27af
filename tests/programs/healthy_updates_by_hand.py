"""Healthy: one model trained by an optimizer, then another of the same name, updated from its gradients by hand."""
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    loss = model(torch.randn(4, 3)).mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
for _ in range(2):
    loss = model(torch.randn(4, 3)).mean()
    model.zero_grad(); loss.backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.1 * p.grad
