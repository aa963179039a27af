"""A module is frozen by an attribute that means nothing, and an evaluation switches grad off for good."""
import torch
from torch import nn
torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
head = nn.Linear(8, 2)
backbone.requires_grad = False
optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1)


def evaluate(x):
    torch.set_grad_enabled(False)
    head.eval()
    return head(backbone(x)).mean().item()


def step(x, y):
    loss = nn.functional.cross_entropy(head(backbone(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


for _ in range(2):
    step(torch.randn(4, 4), torch.randint(0, 2, (4,)))
    evaluate(torch.randn(4, 4))
