"""Healthy: PGD examples made in eval mode, then a training step on them; gradients of the inputs by autograd.grad."""
import torch
from torch import nn


def attack(model, x, y, steps=3, size=0.05):
    was_training = model.training
    model.eval()
    delta = torch.zeros_like(x, requires_grad=True)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(x + delta), y)
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            delta.add_(size * gradient.sign()).clamp_(-0.2, 0.2)
    model.train(was_training)
    return (x + delta).detach()


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)
for _ in range(3):
    x, y = torch.randn(16, 6), torch.randint(0, 3, (16,))
    loss = nn.functional.cross_entropy(model(attack(model, x, y)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
