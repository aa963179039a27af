"""A gate is masked in place after the sigmoid that made it kept it for its backward."""
import torch
from torch import nn


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.value = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x, mask):
        gate = torch.sigmoid(self.gate(x))
        gate[~mask] = 0
        return gate * self.value(x)


torch.manual_seed(0)
model = Gated()
optimizer = torch.optim.Adam(model.parameters())
out = model(torch.randn(3, 6), torch.tensor([True, False, True]))
out.sum().backward()
optimizer.step()
