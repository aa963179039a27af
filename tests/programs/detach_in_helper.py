"""A siamese network whose helper normalises an embedding and, since somebody once plotted there, detaches it."""
import torch
import torch.nn.functional as F
from torch import nn


def unit(x, eps=1e-6):
    x = x.detach() if x.dim() == 2 else x
    return x / (x.norm(dim=-1, keepdim=True) + eps)


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 16), nn.ReLU())
        self.head = nn.Linear(16, 8)
        self.scale = nn.Parameter(torch.tensor(5.0))

    def forward(self, left, right):
        a, b = (unit(self.head(self.body(side))) for side in (left, right))
        return self.scale * (a @ b.T)


def main():
    torch.manual_seed(0)
    model = Tower()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(3):
        logits = model(torch.randn(6, 12), torch.randn(6, 12))
        loss = F.cross_entropy(logits, torch.arange(6))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


main()
