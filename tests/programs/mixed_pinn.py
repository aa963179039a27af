"""A physics-informed net: the second derivative is taken without create_graph, so it frees what the first one needs."""
import torch
from torch import nn


class Heat(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
        self.log_diffusivity = nn.Parameter(torch.zeros(1))

    def forward(self, t, x):
        return self.net(torch.stack([t, x], dim=1)).squeeze(1)

    def residual(self, t, x):
        u = self(t, x)
        u_t, u_x = torch.autograd.grad(u.sum(), (t, x), create_graph=True)
        (u_xx,) = torch.autograd.grad(u_x.sum(), x)
        diffusivity = float(self.log_diffusivity.detach().exp())
        return u_t - diffusivity * u_xx


def points(count):
    return torch.rand(count, requires_grad=True), torch.rand(count, requires_grad=True)


def main():
    torch.manual_seed(0)
    model = Heat()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=2)
    t, x = points(16)
    edge = torch.zeros(8)
    at, start = torch.rand(8), torch.rand(8)

    def closure():
        optimizer.zero_grad()
        physics = model.residual(t, x).pow(2).mean()
        boundary = model(at, edge).pow(2).mean()
        initial = (model(torch.zeros(8), start) - torch.sin(3.14 * start)).pow(2).mean()
        loss = physics + 10 * boundary + initial
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)


main()
