"""An auxiliary head that is only used every third step, behind a helper."""
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head, self.aux = nn.Linear(4, 8), nn.Linear(8, 1), nn.Linear(8, 1)

    def regularize(self, h):
        return self.aux(h).abs().mean()


def loss_of(model, x, step):
    h = torch.tanh(model.body(x))
    loss = model.head(h).pow(2).mean()
    if step % 3:
        return loss
    return loss + 0.1 * model.regularize(h)


torch.manual_seed(0)
model = Model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(6):
    loss = loss_of(model, torch.randn(8, 4), step)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
