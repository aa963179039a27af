"""Healthy: truncated backpropagation through time with an LSTM, tied embeddings, dropout and a perplexity."""
import math

import torch
from torch import nn


class LanguageModel(nn.Module):
    def __init__(self, vocabulary=20, width=12):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.rnn = nn.LSTM(width, width, num_layers=2, dropout=0.1)
        self.out = nn.Linear(width, vocabulary)
        self.out.weight = self.embed.weight

    def forward(self, tokens, hidden):
        states, hidden = self.rnn(self.embed(tokens), hidden)
        return self.out(states), hidden


def repackage(hidden):
    return tuple(h.detach() for h in hidden)


torch.manual_seed(0)
model = LanguageModel()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
hidden = (torch.zeros(2, 4, 12), torch.zeros(2, 4, 12))
total = 0.0
for step in range(5):
    tokens = torch.randint(0, 20, (6, 4))
    hidden = repackage(hidden)
    logits, hidden = model(tokens[:-1], hidden)
    loss = nn.functional.cross_entropy(logits.reshape(-1, 20), tokens[1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    total += loss.item()
print("perplexity %.1f" % math.exp(total / 5))
