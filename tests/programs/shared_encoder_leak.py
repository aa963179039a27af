"""Two losses on one encoder: the regulariser's backward also fills the encoder's gradients before its own step."""
import torch
from torch import nn

torch.manual_seed(0)
encoder, policy, critic = nn.Linear(6, 12), nn.Linear(12, 2), nn.Linear(12, 1)
critic_optimizer = torch.optim.Adam([*encoder.parameters(), *critic.parameters()], lr=1e-3)
policy_optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
for _ in range(4):
    state, returns = torch.randn(16, 6), torch.randn(16, 1)
    critic_loss = (critic(torch.tanh(encoder(state))) - returns).pow(2).mean()
    critic_optimizer.zero_grad()
    critic_loss.backward()
    features = torch.tanh(encoder(state))
    log_prob = policy(features).log_softmax(-1)[:, 0]
    policy_loss = -(log_prob * returns.squeeze(1)).mean()
    policy_optimizer.zero_grad()
    policy_loss.backward()
    policy_optimizer.step()
    critic_optimizer.step()
