"""The term that should push the auxiliary head counts right answers, which has no gradient."""
import torch
import torch.nn.functional as F
from torch import nn


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(8, 16)
        self.main_head = nn.Linear(16, 4)
        self.aux_head = nn.Linear(16, 2)

    def forward(self, x):
        h = torch.relu(self.trunk(x))
        return self.main_head(h), self.aux_head(h)


torch.manual_seed(0)
net = TwoHeads()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for _ in range(3):
    x, y, z = torch.randn(16, 8), torch.randint(0, 4, (16,)), torch.randint(0, 2, (16,))
    main, aux = net(x)
    wrong = (aux.argmax(dim=1) != z).float().mean()
    loss = F.cross_entropy(main, y) + 0.3 * wrong
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
