"""Validation in a method, in evaluation mode and with grad on; the predictions are kept."""
import torch
from torch import nn


class Runner:
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.1), nn.Linear(8, 1))
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def step(self):
        self.net.train()
        x = torch.randn(8, 3)
        loss = nn.functional.l1_loss(self.net(x), x[:, :1])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def validate(self, batches):
        self.net.eval()
        total = 0.0
        for x in batches:
            total += nn.functional.l1_loss(self.net(x), x[:, :1]).item()
        return total / len(batches)


torch.manual_seed(0)
runner = Runner()
data = [torch.randn(16, 3) for _ in range(4)]
for epoch in range(2):
    runner.step()
    print("validation %.3f" % runner.validate(data))
