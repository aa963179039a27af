"""A recurrent policy that carries its state in an attribute over the updates."""
import torch
from torch import nn


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 8)
        self.head = nn.Linear(8, 2)
        self.memory = None

    def forward(self, x):
        self.memory = self.cell(x, self.memory)
        return self.head(self.memory[0])


torch.manual_seed(0)
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters())
for _ in range(3):
    loss = policy(torch.randn(4, 3)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
