"""Healthy: bfloat16 autocast with a GradScaler, two batches a step, clipping, a schedule and an average of weights."""
import copy

import torch
import torch.nn.functional as F
from torch import nn


class Ema:
    def __init__(self, model, decay=0.99):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for slow, fast in zip(self.model.state_dict().values(), model.state_dict().values()):
            if slow.dtype.is_floating_point:
                slow.lerp_(fast, 1 - self.decay)
            else:
                slow.copy_(fast)


@torch.inference_mode()
def evaluate(model, batches):
    model.eval()
    total = sum(F.cross_entropy(model(x), y).item() for x, y in batches)
    return total / len(batches)


def main():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    ema = Ema(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 4)
    scaler = torch.amp.GradScaler("cpu")
    data = [(torch.randn(4, 8), torch.randint(0, 3, (4,))) for _ in range(4)]
    accumulated, running = 2, 0.0
    for _ in range(2):
        model.train()
        for step, (x, y) in enumerate(data):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x).float(), y) / accumulated
            scaler.scale(loss).backward()
            running += loss.item()
            if (step + 1) % accumulated == 0:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                ema.update(model)
        schedule.step()
        evaluate(ema.model, data)
    return running


main()
