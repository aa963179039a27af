"""Healthy: an inner step by autograd.grad with create_graph, and a gradient penalty on interpolated inputs."""
import torch
from torch import nn
from torch.func import functional_call

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
outer = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(3):
    outer.zero_grad()
    for _ in range(2):
        x, y = torch.randn(8, 2), torch.randn(8, 1)
        fast = dict(net.named_parameters())
        inner = (functional_call(net, fast, (x,)) - y).pow(2).mean()
        gradients = torch.autograd.grad(inner, tuple(fast.values()), create_graph=True)
        fast = {name: p - 0.1 * g for (name, p), g in zip(fast.items(), gradients)}
        query = torch.randn(8, 2)
        ((functional_call(net, fast, (query,)) - query.sum(1, keepdim=True)).pow(2).mean() / 2).backward()
    outer.step()

critic = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
for _ in range(3):
    real, fake = torch.randn(8, 2), torch.randn(8, 2)
    mix = torch.lerp(real, fake, torch.rand(8, 1)).requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(mix).sum(), mix, create_graph=True)
    loss = critic(fake).mean() - critic(real).mean() + 10 * (slope.norm(dim=1) - 1).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
