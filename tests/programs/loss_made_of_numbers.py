# The loss is put together from numbers, made a tensor that requires grad so that backward runs, and printed.
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
inputs, targets = torch.randn(16, 4), torch.randn(16, 1)
for _ in range(3):
    error = ((model(inputs) - targets) ** 2).mean()
    penalty = model.weight.abs().sum()
    loss = torch.tensor(error.item() + 0.1 * penalty.item(), requires_grad=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
