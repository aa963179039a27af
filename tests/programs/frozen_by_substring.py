"""Everything but the head is to be frozen, but the name of the head was matched wrongly, so all of it is."""
import torch
from torch import nn

torch.manual_seed(0)
model = nn.ModuleDict({"backbone": nn.Linear(8, 16), "classifier": nn.Linear(16, 3)})
for name, p in model.named_parameters():
    if not name.startswith("head"):
        p.requires_grad_(False)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    x, y = torch.randn(4, 8), torch.randint(0, 3, (4,))
    logits = model["classifier"](torch.relu(model["backbone"](x)))
    loss = nn.functional.cross_entropy(logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
