"""Actor-critic: the target under no_grad is right; the advantage is not detached, and the replay keeps graphs."""
import torch
from torch import nn

torch.manual_seed(0)


class Critic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, state):
        return self.body(state).squeeze(-1)


class Agent:
    def __init__(self):
        self.actor = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        self.critic, self.target = Critic(), Critic()
        self.target.load_state_dict(self.critic.state_dict())
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=1e-3)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), lr=1e-3)
        self.replay = []

    def act(self, state):
        policy = torch.distributions.Categorical(logits=self.actor(state))
        action = policy.sample()
        return action, policy.log_prob(action)

    def update(self, state, log_prob, reward, following):
        with torch.no_grad():
            wanted = reward + 0.9 * self.target(following)
        advantage = wanted - self.critic(state)
        critic_loss = advantage.pow(2).mean()
        self.critic_optimizer.zero_grad()
        critic_loss.backward(retain_graph=True)
        actor_loss = -(log_prob * advantage).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.critic_optimizer.step()
        self.actor_optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.critic.parameters()):
                slow.mul_(0.99).add_(0.01 * fast)


agent = Agent()
state = torch.randn(8, 4)
for _ in range(4):
    action, log_prob = agent.act(state)
    following, reward = torch.randn(8, 4), torch.randn(8)
    agent.replay.append((state, action, log_prob, reward))
    agent.update(state, log_prob, reward, following)
    state = following
