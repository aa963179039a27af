"""Fine-tuning with an embedding that is frozen on purpose: the head is built after the optimizer, and the consistency
term is computed under no_grad as a whole."""
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    words: int = 30
    size: int = 8
    layers: int = 2
    labels: int = 3
    consistency: float = 0.5


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = nn.Embedding(config.words, config.size)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(config.size, 2, 16, dropout=0.0, batch_first=True) for _ in range(config.layers)
        )

    def forward(self, ids):
        hidden = self.embeddings(ids)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


class Tuned(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.pooler = nn.Linear(config.size, config.size)
        self.classifier = None

    def set_head(self, labels):
        self.classifier = nn.Linear(self.config.size, labels)

    def forward(self, ids):
        pooled = torch.tanh(self.pooler(self.encoder(ids)[:, 0]))
        return pooled, self.classifier(pooled)


def train(model, optimizer, steps=3):
    for _ in range(steps):
        ids, labels = torch.randint(0, 30, (4, 5)), torch.randint(0, 3, (4,))
        pooled, logits = model(ids)
        with torch.no_grad():
            again, _ = model(ids)
            consistency = 1 - F.cosine_similarity(pooled, again).mean()
        loss = F.cross_entropy(logits, labels) + model.config.consistency * consistency
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


torch.manual_seed(0)
model = Tuned(Config())
for p in model.encoder.embeddings.parameters():
    p.requires_grad = False
optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-3)
model.set_head(3)
train(model, optimizer)
