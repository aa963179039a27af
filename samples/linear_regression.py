# Stopping distance of cars from their speed: a line fitted to 40 of 50 measurements, and checked on the other 10.
# See: one training step with its gradients and its update; the evaluation is counted, and `--all` draws it.
# Data: samples/data/stopping_distances.csv (speed in mph, distance in feet; M. Ezekiel, Methods of Correlation
# Analysis, 1930).
import csv
from pathlib import Path

import gradviz

with open(Path(__file__).parent / "data" / "stopping_distances.csv", newline="") as file:
    rows = [(float(row["speed"]), float(row["distance"])) for row in csv.DictReader(file)]
held_out = rows[::5]
training = [row for index, row in enumerate(rows) if index % 5]

speed = gradviz.tensor([row[0] for row in training])
distance = gradviz.tensor([row[1] for row in training])
slope = gradviz.tensor(0.0, requires_grad=True)
offset = gradviz.tensor(0.0, requires_grad=True)

for _ in range(300):
    prediction = slope * (speed - 15.0) + offset
    loss = ((prediction - distance) ** 2).mean()
    loss.backward()
    with gradviz.no_grad():
        slope -= 0.01 * slope.grad
        offset -= 0.1 * offset.grad
    slope.grad = None
    offset.grad = None

with gradviz.no_grad():
    test_speed = gradviz.tensor([row[0] for row in held_out])
    test_distance = gradviz.tensor([row[1] for row in held_out])
    test_prediction = slope * (test_speed - 15.0) + offset
    test_loss = ((test_prediction - test_distance) ** 2).mean()

print(f"distance = {slope.item():.2f} * (speed - 15) + {offset.item():.2f}")
print(f"mean squared error: {loss.item():.1f} on the training data, {test_loss.item():.1f} on the rest")
print(loss.requires_grad, test_loss.requires_grad)
