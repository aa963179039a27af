"""Transfer learning: the optimizer is made from the loaded model, then the head is replaced for the new classes."""
import torch
from torch import nn


class Classifier(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        return self.fc(self.features(x))


def build(classes):
    model = Classifier(1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.fc = nn.Linear(model.fc.in_features, classes)
    return model, optimizer


torch.manual_seed(0)
model, optimizer = build(5)
for _ in range(3):
    loss = nn.functional.cross_entropy(model(torch.randn(4, 3, 8, 8)), torch.randint(0, 5, (4,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
