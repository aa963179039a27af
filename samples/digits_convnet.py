# Handwritten digits: a small convnet learns them from scikit-learn's bundled images (1,797 of 8 by 8) in a few seconds.
# See: the last training step, each module one box; the evaluation under no_grad leaves no graph.
# Needs: pip install scikit-learn
import sys

from sklearn.datasets import load_digits

import gradviz
from gradviz import nn
from gradviz.nn import functional as F
from gradviz.utils.data import DataLoader, TensorDataset, random_split

gradviz.manual_seed(0)
digits = load_digits()
images = gradviz.tensor(digits.images, dtype=gradviz.float32).unsqueeze(1) / 16
training, held_out = random_split(TensorDataset(images, gradviz.tensor(digits.target)), [0.8, 0.2])

model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(16, 32, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Flatten(),
    nn.Linear(128, 10),
)
optimizer = gradviz.optim.Adam(model.parameters(), lr=0.005)
epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 12
for _ in range(epochs):
    for x, y in DataLoader(training, batch_size=64, shuffle=True):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

x, y = next(iter(DataLoader(held_out, batch_size=len(held_out))))
with gradviz.no_grad():
    right = (model(x).argmax(1) == y).sum().item()
print(f"{len(training)} images to learn from; {100 * right / len(held_out):.1f} % of {len(held_out)} others are right")
