"""Dice loss in which the soft intersection is summed by numpy."""
import numpy as np
import torch
from torch import nn


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.Conv2d(1, 4, 3, padding=1)
        self.decode = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        return torch.sigmoid(self.decode(torch.relu(self.encode(x))))


def dice(prediction, target):
    overlap = np.sum(prediction.detach().cpu().numpy() * target.numpy())
    total = prediction.detach().sum().item() + target.sum().item()
    return torch.tensor(1 - 2 * overlap / total, requires_grad=True)


torch.manual_seed(0)
model = Segmenter()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(3):
    image = torch.rand(2, 1, 8, 8)
    loss = dice(model(image), (image > 0.5).float())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
