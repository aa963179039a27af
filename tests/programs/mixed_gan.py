"""A GAN whose generator's loss sees the fake that was detached for the discriminator. (That the discriminator's
optimizer has the generator too does no harm as long as it clears what it has first.)"""
import torch
from torch import nn

torch.manual_seed(0)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))

    def forward(self, z):
        return torch.tanh(self.net(z))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Linear(8, 16)
        self.score = nn.Linear(16, 1)

    def forward(self, x):
        return self.score(torch.relu(self.features(x)))


generator, discriminator = Generator(), Discriminator()
optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4)
optimizer_d = torch.optim.Adam([*discriminator.parameters(), *generator.parameters()], lr=2e-4)
criterion = nn.BCEWithLogitsLoss()
for _ in range(3):
    real = torch.rand(16, 8)
    fake = generator(torch.randn(16, 4)).detach()
    optimizer_d.zero_grad()
    loss_d = criterion(discriminator(real), torch.ones(16, 1)) + criterion(discriminator(fake), torch.zeros(16, 1))
    loss_d.backward()
    optimizer_d.step()
    optimizer_g.zero_grad()
    loss_g = criterion(discriminator(fake), torch.ones(16, 1))
    loss_g.backward()
    optimizer_g.step()
