"""A VAE whose noise is scaled in numpy, whose KL term is a number, whose stem is frozen, and whose validation keeps
graphs."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 16)
        self.mu = nn.Linear(16, 4)
        self.log_var = nn.Linear(16, 4)
        self.decode = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12))

    def reparameterize(self, mu, log_var):
        std = np.exp(0.5 * log_var.detach().numpy())
        noise = np.random.default_rng(0).standard_normal(std.shape).astype("float32")
        return mu + torch.from_numpy(std * noise)

    def forward(self, x):
        h = torch.relu(self.stem(x))
        mu, log_var = self.mu(h), self.log_var(h)
        return self.decode(self.reparameterize(mu, log_var)), mu, log_var


def elbo(model, x):
    reconstruction, mu, log_var = model(x)
    kl = (-0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(1).mean()).item()
    return F.mse_loss(reconstruction, x) + 0.1 * kl


def validate(model, batches):
    model.eval()
    losses = [elbo(model, x) for x in batches]
    model.train()
    return sum(loss.item() for loss in losses) / len(losses)


def main():
    torch.manual_seed(0)
    model = VAE()
    for name, p in model.named_parameters():
        if "stem" in name:
            p.requires_grad = False
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    data = [torch.rand(8, 12) for _ in range(3)]
    for _ in range(2):
        for x in data:
            loss = elbo(model, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        validate(model, data)


main()
