"""Models of the kinds that people train, small enough for a test: what a recording of PyTorch is tried on.

Every function makes its model from a fixed seed and returns a `Case`; `train` takes three optimizer steps and an
evaluation, and returns all that a program could see of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SEED = 20


@dataclass
class Case:
    """A model, one batch for it, and how to get from both to a result and a loss.

    run     (model, batch) -> the model's result, as in training
    loss    (result, batch) -> a scalar
    """

    model: nn.Module
    batch: tuple[torch.Tensor, ...]
    run: Callable[[nn.Module, tuple[torch.Tensor, ...]], torch.Tensor]
    loss: Callable[[torch.Tensor, tuple[torch.Tensor, ...]], torch.Tensor]
    evaluates_only: bool = False


@dataclass
class Observed:
    """What a program saw, as bytes, so that two runs can be compared bit by bit."""

    tensors: dict[str, bytes] = field(default_factory=dict)
    generators: list[bytes] = field(default_factory=list)

    def take(self, name: str, tensor: torch.Tensor | None) -> None:
        assert name not in self.tensors
        if tensor is not None:
            self.tensors[name] = tensor.detach().contiguous().numpy().tobytes()


def train(case: Case, steps: int = 3) -> Observed:
    """Outputs, losses, gradients and weights of `steps` optimizer steps and one evaluation, and where chance stands."""
    seen = Observed()
    model = case.model
    if not case.evaluates_only:
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        model.train()
        for step in range(steps):
            optimizer.zero_grad()
            result = case.run(model, case.batch)
            loss = case.loss(result, case.batch)
            loss.backward()
            seen.take(f"{step} result", result)
            seen.take(f"{step} loss", loss)
            for name, parameter in model.named_parameters():
                seen.take(f"{step} grad {name}", parameter.grad)
            optimizer.step()
            for name, parameter in model.named_parameters():
                seen.take(f"{step} weight {name}", parameter)
    model.eval()
    with torch.no_grad():
        seen.take("evaluated", case.run(model, case.batch))
    for name, buffer in model.named_buffers():
        seen.take(f"buffer {name}", buffer)
    seen.generators = [
        torch.get_rng_state().numpy().tobytes(),
        repr(random.getstate()).encode(),
        repr(np.random.get_state()).encode(),
    ]
    return seen


def seed() -> None:
    """Set every generator that a model could draw from."""
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)


# vision


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if stride != 1 or width != out:
            self.shortcut = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.shortcut is None else self.shortcut(x)
        return self.relu(out)


class ResNet(nn.Module):
    """A stem, four stages of blocks, and a linear layer: ResNet-18 with `width` 64 and two blocks a stage."""

    def __init__(self, width: int = 8, blocks: int = 1, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        stages = []
        for stage in range(4):
            before = width << max(stage - 1, 0)
            out = width << stage
            first = Block(before, out, 1 if stage == 0 else 2)
            stages.append(nn.Sequential(first, *(Block(out, out) for _ in range(blocks - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(width << 3, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def resnet(width: int = 8, blocks: int = 1, size: int = 32, batch: int = 2) -> Case:
    seed()
    return Case(
        ResNet(width, blocks),
        (torch.randn(batch, 3, size, size), torch.randint(10, (batch,))),
        lambda model, batch: model(batch[0]),
        lambda result, batch: F.cross_entropy(result, batch[1]),
    )


# sequences


class Tagger(nn.Module):
    """An embedding, an LSTM with dropout, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 12, num_layers=2, dropout=0.2, bidirectional=True)
        self.fc = nn.Linear(24, 5)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embedding(words))
        return self.fc(states)


def lstm() -> Case:
    seed()
    return Case(
        Tagger(),
        (torch.randint(20, (7, 3)), torch.randint(5, (7, 3))),
        lambda model, batch: model(batch[0]),
        lambda result, batch: F.cross_entropy(result.flatten(0, 1), batch[1].flatten()),
    )


def encoder() -> Case:
    """In eval mode, where PyTorch takes a fast path that it leaves for anybody who watches."""
    seed()
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2)
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[1, 4:] = True
    return Case(
        model,
        (torch.randn(2, 6, 16), mask),
        lambda model, batch: model(batch[0], src_key_padding_mask=batch[1] if model.training else None),
        lambda result, batch: result.square().mean(),
    )


# transformers


def gpt2(layers: int = 2, width: int = 32, heads: int = 2, words: int = 64, length: int = 8) -> Case:
    from transformers import GPT2Config, GPT2LMHeadModel

    seed()
    config = GPT2Config(
        vocab_size=words, n_positions=max(length, 16), n_embd=width, n_layer=layers, n_head=heads, bos_token_id=0,
        eos_token_id=0, loss_type="ForCausalLM",
    )  # fmt: skip
    return Case(
        GPT2LMHeadModel(config),
        (torch.randint(words, (1, length)),),
        lambda model, batch: model(batch[0]).logits,
        lambda result, batch: F.cross_entropy(result[0, :-1], batch[0][0, 1:]),
    )


def bert() -> Case:
    from transformers import BertConfig, BertForSequenceClassification

    seed()
    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=16,
    )  # fmt: skip
    return Case(
        BertForSequenceClassification(config),
        (torch.randint(64, (2, 8)), torch.tensor([0, 1])),
        lambda model, batch: model(batch[0]).logits,
        lambda result, batch: F.cross_entropy(result, batch[1]),
    )


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: make for make in (resnet, lstm, encoder, gpt2, bert)
}
