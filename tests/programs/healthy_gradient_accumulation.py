"""Gradients of several micro-batches for one step, cleared in each of the ways that people clear them."""

import torch
from torch import nn

torch.manual_seed(0)


def batches(count):
    for _ in range(count):
        x = torch.randn(8, 4)
        yield x, x.sum(1, keepdim=True)


# four micro-batches a step
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
optimizer.zero_grad()
for i, (x, y) in enumerate(batches(12), 1):
    loss = nn.functional.mse_loss(model(x), y) / 4
    loss.backward()
    if i % 4 == 0:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)

# two losses, one step, cleared through the model
head = nn.Linear(4, 2)
both = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=1e-2, momentum=0.9)
for x, y in batches(4):
    model.zero_grad()
    head.zero_grad()
    nn.functional.mse_loss(model(x), y).backward()
    head(x).pow(2).mean().backward()
    both.step()

# cleared by hand, in the optimizer and outside of it
class Sign(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(p.grad.sign(), alpha=1e-3)

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None


sign = Sign(model.parameters())
for x, y in batches(4):
    sign.zero_grad()
    nn.functional.mse_loss(model(x), y).backward()
    sign.step()

w = torch.zeros(4, 1, requires_grad=True)
for x, y in batches(4):
    (x @ w - y).pow(2).mean().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
    w.grad.zero_()

v = torch.zeros(4, 1, requires_grad=True)
for x, y in batches(4):
    (x @ v - y).pow(2).mean().backward()
    v.data -= 0.1 * v.grad.data
    v.grad.data.zero_()

# an optimizer in the backward pass: a step and a clearing for each parameter as soon as its gradient is there
small = nn.Linear(4, 1)
owners = {p: torch.optim.SGD([p], lr=1e-2) for p in small.parameters()}


def update(p):
    owners[p].step()
    owners[p].zero_grad()


for p in small.parameters():
    p.register_post_accumulate_grad_hook(update)
for x, y in batches(4):
    nn.functional.mse_loss(small(x), y).backward()

# sharpness-aware: the first gradient is for the perturbation only
flat = nn.Linear(4, 1)
base = torch.optim.SGD(flat.parameters(), lr=1e-2)
for x, y in batches(4):
    nn.functional.mse_loss(flat(x), y).backward()
    with torch.no_grad():
        moved = [p.grad * 0.05 for p in flat.parameters()]
        for p, e in zip(flat.parameters(), moved):
            p.add_(e)
    base.zero_grad()
    nn.functional.mse_loss(flat(x), y).backward()
    with torch.no_grad():
        for p, e in zip(flat.parameters(), moved):
            p.sub_(e)
    base.step()
    base.zero_grad()
