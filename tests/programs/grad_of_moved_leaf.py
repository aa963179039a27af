"""The gradient of an image is wanted, but the image was moved after it was made a leaf."""
import torch
from torch import nn


def saliency(model, image):
    image = image.clone().requires_grad_(True)
    batch = image.unsqueeze(0).double()
    model(batch)[0].max().backward()
    return batch.grad


torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double().eval()
print(saliency(model, torch.rand(1, 4, 4)))
