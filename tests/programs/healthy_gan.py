"""Healthy: a GAN with label smoothing, in functions; the discriminator sees detached fakes."""
import torch
from torch import nn


def main(steps=3):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh())
    discriminator = nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    history = []
    for _ in range(steps):
        real = torch.rand(16, 8)
        fake = generator(torch.randn(16, 4))
        optimizer_d.zero_grad()
        loss_d = criterion(discriminator(real), torch.full((16, 1), 0.9)) + criterion(
            discriminator(fake.detach()), torch.zeros(16, 1)
        )
        loss_d.backward()
        optimizer_d.step()
        optimizer_g.zero_grad()
        loss_g = criterion(discriminator(fake), torch.ones(16, 1))
        loss_g.backward()
        optimizer_g.step()
        history.append((loss_d.item(), loss_g.item()))
    return history


print(len(main()))
