"""A frozen encoder that is not: the flag is misspelt."""
import torch
from torch import nn

torch.manual_seed(0)
encoder, head = nn.Linear(6, 6), nn.Linear(6, 2)
for p in encoder.parameters():
    p.require_grad = False
optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
for _ in range(2):
    loss = nn.functional.cross_entropy(head(torch.relu(encoder(torch.randn(4, 6)))), torch.randint(0, 2, (4,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
