"""A training loop that never clears the gradients: each step follows all batches so far."""

import torch
from torch import nn


def train(model, batches):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in batches:
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        print(f"{loss.item():.3f}")


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 1))
train(model, [(torch.randn(8, 4), torch.randn(8, 1)) for _ in range(5)])
