"""Reentrant checkpoints behind an embedding that is frozen on purpose; the evaluation is right."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x):
        return x + self.mlp(self.norm(x))


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.blocks = nn.ModuleList(Block(8) for _ in range(2))
        self.head = nn.Linear(8, 3)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True)
        return self.head(x.mean(1))


@torch.no_grad()
def accuracy(model, ids, labels):
    model.eval()
    right = (model(ids).argmax(1) == labels).float().mean().item()
    model.train()
    return right


def main():
    torch.manual_seed(0)
    model = Classifier()
    model.embed.weight.requires_grad = False
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(2):
        ids, labels = torch.randint(0, 20, (4, 6)), torch.randint(0, 3, (4,))
        loss = F.cross_entropy(model(ids), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy(model, ids, labels)


main()
