"""Healthy: actor-critic by episodes: log-probabilities are gathered in lists with their graphs, used, and cleared."""
import torch
from torch import nn
from torch.distributions import Categorical


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.actor, self.critic = nn.Linear(4, 16), nn.Linear(16, 2), nn.Linear(16, 1)
        self.saved, self.rewards = [], []

    def forward(self, state):
        h = torch.relu(self.body(state))
        return Categorical(logits=self.actor(h)), self.critic(h).squeeze(-1)


def finish_episode(model, optimizer, gamma=0.99):
    returns, total = [], 0.0
    for reward in reversed(model.rewards):
        total = reward + gamma * total
        returns.insert(0, total)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + 1e-8)
    policy_losses, value_losses = [], []
    for (log_prob, value), target in zip(model.saved, returns):
        advantage = target - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(nn.functional.smooth_l1_loss(value, target))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.saved[:], model.rewards[:]
    return loss.item()


def main():
    torch.manual_seed(0)
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    history = []
    for _ in range(6):
        for _ in range(5):
            distribution, value = model(torch.randn(4))
            action = distribution.sample()
            model.saved.append((distribution.log_prob(action), value))
            model.rewards.append(float(action))
        history.append(finish_episode(model, optimizer))
    return history


main()
