"""Healthy: DQN with a replay memory, a target network, epsilon-greedy actions and a Huber loss."""
import random
from collections import deque, namedtuple

import torch
import torch.nn.functional as F
from torch import nn

Transition = namedtuple("Transition", "state action reward following done")


class Agent:
    def __init__(self):
        self.policy = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.target = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self.target.load_state_dict(self.policy.state_dict())
        self.target.eval()
        self.memory = deque(maxlen=100)
        self.optimizer = torch.optim.RMSprop(self.policy.parameters())

    def act(self, state):
        if random.random() < 0.3:
            return random.randrange(2)
        with torch.no_grad():
            return self.policy(state).argmax().item()

    def learn(self):
        batch = Transition(*zip(*random.sample(self.memory, 8)))
        state, following = torch.stack(batch.state), torch.stack(batch.following)
        q = self.policy(state).gather(1, torch.tensor(batch.action).unsqueeze(1)).squeeze(1)
        with torch.no_grad():
            best = self.target(following).max(1).values * (1 - torch.tensor(batch.done))
        loss = F.smooth_l1_loss(q, torch.tensor(batch.reward) + 0.9 * best)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(self.policy.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()


random.seed(0)
torch.manual_seed(0)
agent = Agent()
state = torch.randn(4)
for step in range(30):
    action = agent.act(state)
    following = torch.randn(4)
    agent.memory.append(Transition(state, action, random.random(), following, float(step % 10 == 9)))
    state = following
    if len(agent.memory) >= 8:
        agent.learn()
    if step % 10 == 0:
        agent.target.load_state_dict(agent.policy.state_dict())
