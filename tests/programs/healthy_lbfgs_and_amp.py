"""Healthy: L-BFGS with a closure on one model, bfloat16 autocast with a frozen backbone in eval mode on another."""
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(32, 3), torch.randn(32, 1)
fit = nn.Linear(3, 1)
lbfgs = torch.optim.LBFGS(fit.parameters(), max_iter=5)


def closure():
    lbfgs.zero_grad()
    loss = (fit(x) - y).pow(2).mean() + 1e-3 * sum(p.pow(2).sum() for p in fit.parameters())
    loss.backward()
    return loss


for _ in range(2):
    lbfgs.step(closure)

backbone = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU())
backbone.requires_grad_(False).eval()
head = nn.Linear(16, 2)
optimizer = torch.optim.SGD((p for p in head.parameters() if p.requires_grad), lr=0.1)
for _ in range(3):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(backbone(x))
        loss = nn.functional.cross_entropy(logits.float(), (y[:, 0] > 0).long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
head.eval()
with torch.inference_mode():
    print("accuracy %.2f" % (head(backbone(x)).argmax(1) == (y[:, 0] > 0)).float().mean())
