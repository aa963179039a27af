"""Weights of samples, learned: they are compared with a threshold, and their penalty and step size become numbers."""
import torch
from torch import nn
torch.manual_seed(0)


class Weights(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(3, 1)
        self.log_lr = nn.Parameter(torch.tensor(-2.0))

    def forward(self, x):
        return torch.sigmoid(self.score(x)).squeeze(1)


model = nn.Linear(3, 1)
meta = Weights()
inner = torch.optim.SGD(model.parameters(), lr=0.1)
outer = torch.optim.Adam(meta.parameters(), lr=0.01)
for _ in range(3):
    x, y = torch.randn(16, 3), torch.randn(16)
    keep = (meta(x) > 0.5).float()
    loss = (keep * (model(x).squeeze(1) - y).pow(2)).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    for p, g in zip(model.parameters(), gradients):
        p.data -= meta.log_lr.exp().item() * g
    held_x, held_y = torch.randn(16, 3), torch.randn(16)
    outer_loss = (model(held_x).squeeze(1) - held_y).pow(2).mean() + 1e-3 * meta.log_lr.pow(2).item()
    outer.zero_grad()
    outer_loss.backward()
    outer.step()
