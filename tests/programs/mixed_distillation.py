"""Distillation: the teacher under inference_mode is right; the hint is normalized under no_grad, the temperature is no
parameter, and the history keeps graphs."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.hint = nn.Linear(8, 12)
        self.head = nn.Linear(8, 3)
        self.temperature = torch.tensor(2.0, requires_grad=True)

    def forward(self, x):
        h = torch.relu(self.stem(x))
        return h, self.head(h) / self.temperature


def normalized(x):
    with torch.no_grad():
        return x / x.norm(dim=1, keepdim=True)


teacher = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
student = Student()
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
history = {"loss": [], "hint": []}
for epoch in range(4):
    x = torch.randn(8, 6)
    with torch.inference_mode():
        wanted = teacher[1](teacher[0](x))
        soft = F.softmax(teacher[2](wanted), dim=1)
    wanted, soft = wanted.clone(), soft.clone()
    h, logits = student(x)
    hint = (normalized(student.hint(h)) - normalized(wanted)).pow(2).mean()
    loss = F.kl_div(F.log_softmax(logits, dim=1), soft, reduction="batchmean") + 0.3 * hint
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history["loss"].append(loss)
    history["hint"].append(hint.item())
