"""Two heads on one trunk with a backward each, and a penalty on the trunk that is a number."""
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
trunk = nn.Sequential(nn.Linear(6, 12), nn.ReLU())
segment, depth = nn.Linear(12, 4), nn.Linear(12, 1)
segment_optimizer = torch.optim.SGD([*trunk.parameters(), *segment.parameters()], lr=0.1)
depth_optimizer = torch.optim.SGD(depth.parameters(), lr=0.1)
for _ in range(2):
    x = torch.randn(8, 6)
    features = trunk(x)
    segment_loss = F.cross_entropy(segment(features), torch.randint(0, 4, (8,)))
    segment_loss = segment_loss + 0.01 * float(trunk[0].weight.norm())
    segment_optimizer.zero_grad()
    segment_loss.backward()
    segment_optimizer.step()
    depth_loss = (depth(features).squeeze(1) - torch.rand(8)).abs().mean()
    depth_optimizer.zero_grad()
    depth_loss.backward()
    depth_optimizer.step()
