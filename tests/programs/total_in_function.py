"""The epoch's loss is added up with its history."""
import torch
from torch import nn


def epoch(model, optimizer, batches):
    running = 0
    for x in batches:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()
        running = running + loss
    return running / len(batches)


torch.manual_seed(0)
model = nn.Linear(4, 4)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
print("loss %.3f" % epoch(model, optimizer, [torch.randn(8, 4) for _ in range(6)]))
