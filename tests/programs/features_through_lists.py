# Features are kept as Python lists between two networks; the first network trains no more.
import torch
from torch import nn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
head = nn.Linear(6, 1)
optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1)
inputs, targets = torch.randn(8, 4), torch.randn(8, 1)
for _ in range(3):
    features = backbone(inputs)
    rows = features.tolist()
    rows = [[min(value, 3.0) for value in row] for row in rows]
    loss = nn.functional.mse_loss(head(torch.tensor(rows)), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
