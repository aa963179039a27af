"""A learnt temperature that is a plain tensor, so no optimizer has it."""
import torch
from torch import nn


class Matcher(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(5, 5)
        self.temperature = torch.tensor(0.1, requires_grad=True)

    def forward(self, a, b):
        return self.project(a) @ self.project(b).T / self.temperature


torch.manual_seed(0)
matcher = Matcher()
optimizer = torch.optim.AdamW(matcher.parameters(), lr=1e-3)
for _ in range(3):
    scores = matcher(torch.randn(4, 5), torch.randn(4, 5))
    loss = nn.functional.cross_entropy(scores, torch.arange(4))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
