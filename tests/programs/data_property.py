"""A weight-normalised layer that hands out its effective weight through a property, by `.data`."""
import torch
from torch import nn


class Normed(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(outputs, inputs))
        self.gain = nn.Parameter(torch.ones(outputs, 1))

    @property
    def weight(self):
        return self.gain * self.direction.data / self.direction.data.norm(dim=1, keepdim=True)

    def forward(self, x):
        return nn.functional.linear(x, self.weight)


torch.manual_seed(0)
net = nn.Sequential(Normed(6, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for _ in range(4):
    x = torch.randn(16, 6)
    loss = (net(x).squeeze(1) - x.sum(1)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
