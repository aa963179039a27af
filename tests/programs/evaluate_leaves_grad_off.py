"""`evaluate` switches grad off and returns early without switching it on again."""
import torch
from torch import nn


def evaluate(model, batches, limit):
    torch.set_grad_enabled(False)
    total = 0.0
    for count, x in enumerate(batches):
        if count == limit:
            return total / limit
        total += model(x).abs().mean().item()
    torch.set_grad_enabled(True)
    return total / len(batches)


def train():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        evaluate(model, [torch.randn(4, 4) for _ in range(5)], 2)
        loss = model(torch.randn(8, 4)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train()
