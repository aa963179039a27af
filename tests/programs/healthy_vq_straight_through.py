"""Healthy: a VQ layer with a straight-through estimator, a codebook that EMA updates, and a commitment loss."""
import torch
import torch.nn.functional as F
from torch import nn


class Quantizer(nn.Module):
    def __init__(self, codes=16, width=4):
        super().__init__()
        self.register_buffer("codebook", torch.randn(codes, width))
        self.register_buffer("counts", torch.ones(codes))

    def forward(self, z):
        nearest = torch.cdist(z.detach(), self.codebook).argmin(1)
        quantized = F.embedding(nearest, self.codebook)
        if self.training:
            with torch.no_grad():
                one_hot = F.one_hot(nearest, len(self.codebook)).float()
                self.counts.mul_(0.9).add_(one_hot.sum(0), alpha=0.1)
                self.codebook.mul_(0.9).add_(0.1 * (one_hot.T @ z) / self.counts.clamp(min=1e-3).unsqueeze(1))
        commitment = F.mse_loss(z, quantized.detach())
        return z + (quantized - z).detach(), commitment


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.quantizer, self.decoder = nn.Linear(10, 4), Quantizer(), nn.Linear(4, 10)

    def forward(self, x):
        z, commitment = self.quantizer(self.encoder(x))
        return self.decoder(z), commitment


torch.manual_seed(0)
model = Autoencoder()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(4):
    x = torch.randn(32, 10)
    reconstruction, commitment = model(x)
    loss = F.mse_loss(reconstruction, x) + 0.25 * commitment
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step % 2:
        print(f"loss {loss.item():.3f} commitment {float(commitment):.3f}")
