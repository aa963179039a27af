"""A GAN that gives the fake to the discriminator with its graph, which is then gone for the generator."""
import torch
from torch import nn
torch.manual_seed(0)
g = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
d = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
og, od = torch.optim.Adam(g.parameters()), torch.optim.Adam(d.parameters())
bce = nn.BCEWithLogitsLoss()
for _ in range(2):
    real, fake = torch.rand(8, 6), g(torch.randn(8, 4))
    od.zero_grad()
    loss_d = bce(d(real), torch.ones(8, 1)) + bce(d(fake), torch.zeros(8, 1))
    loss_d.backward()
    od.step()
    og.zero_grad()
    loss_g = bce(d(fake), torch.ones(8, 1))
    loss_g.backward()
    og.step()
