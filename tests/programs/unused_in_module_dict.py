"""A ModuleDict of experts of which the router never knew the third."""
import torch
from torch import nn


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleDict({name: nn.Linear(4, 4) for name in ("text", "image", "audio")})
        self.out = nn.Linear(4, 1)

    def forward(self, x, kind):
        return self.out(torch.relu(self.experts[kind](x)))


torch.manual_seed(0)
moe = Experts()
optimizer = torch.optim.SGD(moe.parameters(), lr=0.1)
for step in range(4):
    loss = moe(torch.randn(8, 4), "text").mean() + moe(torch.randn(8, 4), "image").pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
