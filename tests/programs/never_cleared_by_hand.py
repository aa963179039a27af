"""Gradient descent by hand, as in a first tutorial, without `w.grad.zero_()`."""

import torch

torch.manual_seed(0)
x = torch.linspace(-1, 1, 20)
y = 3 * x + 1
w = torch.zeros((), requires_grad=True)
b = torch.zeros((), requires_grad=True)
for step in range(6):
    loss = (w * x + b - y).pow(2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        b -= 0.1 * b.grad
