"""Healthy: a frozen critic in eval mode that lets gradients through, a LoRA layer on frozen weights, checkpointing."""
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class LoraLinear(nn.Module):
    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * 0.1)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + x @ self.down.T @ self.up.T


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = LoraLinear(nn.Linear(6, 8)), LoraLinear(nn.Linear(8, 6))

    def forward(self, x):
        h = checkpoint(self.first, x, use_reentrant=False)
        return self.second(torch.relu(h))


torch.manual_seed(0)
generator = Generator()
judge = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU()).eval()
for p in judge.parameters():
    p.requires_grad = False
optimizer = torch.optim.AdamW([p for p in generator.parameters() if p.requires_grad], lr=1e-2)
for step in range(4):
    x = torch.randn(16, 6)
    made = generator(x)
    loss = (judge(made) - judge(x)).pow(2).mean() + 0.1 * (made - x).abs().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
