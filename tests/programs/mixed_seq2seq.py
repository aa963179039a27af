"""A seq2seq: argmax fed back is right; the encoder's state is taken through .data, the head is replaced after the
optimizer was made, and the running loss keeps graphs."""
import torch
import torch.nn.functional as F
from torch import nn


class Seq2Seq(nn.Module):
    def __init__(self, words=11, size=8):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.encoder = nn.GRU(size, size, batch_first=True)
        self.decoder = nn.GRUCell(size, size)
        self.head = nn.Linear(size, words)

    def forward(self, source, target):
        _, state = self.encoder(self.embed(source))
        state = state[0].data
        word = torch.zeros(len(source), dtype=torch.long)
        logits = []
        for _ in range(target.shape[1]):
            state = self.decoder(self.embed(word), state)
            scores = self.head(state)
            logits.append(scores)
            word = scores.argmax(-1)
        return torch.stack(logits, 1)


def main():
    torch.manual_seed(0)
    model = Seq2Seq()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.head = nn.Linear(8, 13)
    total = 0.0
    for _ in range(3):
        source, target = torch.randint(0, 11, (4, 5)), torch.randint(0, 13, (4, 3))
        logits = model(source, target)
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss
    return total


main()
