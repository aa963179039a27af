"""An encoder whose `embed` was decorated for serving and is now called in training as well."""
import torch
from torch import nn


class Recommender(nn.Module):
    def __init__(self, users=20, items=30, width=8):
        super().__init__()
        self.users = nn.Embedding(users, width)
        self.items = nn.Embedding(items, width)
        self.bias = nn.Parameter(torch.zeros(items))

    @torch.no_grad()
    def embed(self, user):
        return nn.functional.normalize(self.users(user), dim=-1)

    def forward(self, user, item):
        return (self.embed(user) * self.items(item)).sum(-1) + self.bias[item]


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)

    def fit(self, steps):
        for _ in range(steps):
            user, item = torch.randint(0, 20, (16,)), torch.randint(0, 30, (16,))
            score = self.model(user, item)
            loss = nn.functional.binary_cross_entropy_with_logits(score, torch.randint(0, 2, (16,)).float())
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()


torch.manual_seed(0)
trainer = Trainer(Recommender())
trainer.fit(3)
