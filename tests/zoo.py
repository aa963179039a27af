"""The zoo: real models with random weights, to be recorded for one training step and drawn.

Depth and wiring are those of the originals, because they decide what a drawing looks like; widths are tiny, so that a
step takes a second or less. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import models
import torch
import torch.nn.functional as F
from torch import nn

import gradviz
from gradviz.graphs import Graph


@dataclass
class Exhibit:
    """A model and one step with it: `step` goes forward and backward, and returns the loss that it ended with."""

    model: nn.Module
    step: Callable[[], torch.Tensor]


def recorded(make: Callable[[], Exhibit]) -> tuple[Graph, torch.Tensor, Exhibit]:
    """The graph of one step, its loss, whose own graph lives on with it, and the exhibit."""
    models.seed()
    exhibit = make()
    model, step = exhibit.model, exhibit.step
    assert isinstance(model, nn.Module)  # the recording finds it here, and calls its parameters as a script's would be
    with gradviz.record() as rec:
        loss = step()
    assert not rec.failures, rec.failures
    return rec.graph(), loss, exhibit


def trained(case: models.Case) -> Exhibit:
    """One step of a case: a pass forward, its loss, a pass backward."""

    def step() -> torch.Tensor:
        loss = case.loss(case.run(case.model, case.batch), case.batch)
        loss.backward()
        return loss

    return Exhibit(case.model, step)


def classifier(model: nn.Module, size: int = 32, classes: int = 10) -> Exhibit:
    """A model of images, with two of them and the classes that they should get."""
    images, wanted = torch.randn(2, 3, size, size), torch.randint(classes, (2,))

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(images), wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


# vision


def resnet18() -> Exhibit:
    return trained(models.resnet(8, 2))


class Bottleneck(nn.Module):
    """Three convolutions, the middle one narrow, and a way around them."""

    def __init__(self, width: int, narrow: int, stride: int) -> None:
        super().__init__()
        out = 4 * narrow
        self.conv1 = nn.Conv2d(width, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or width != out:
            self.downsample = nn.Sequential(nn.Conv2d(width, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class DeepResNet(nn.Module):
    """A stem, four stages of bottlenecks and a linear layer."""

    def __init__(self, blocks: Sequence[int], width: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        layers: list[nn.Module] = []
        before = width
        for stage, count in enumerate(blocks):
            narrow = width << stage
            stride = 1 if stage == 0 else 2
            layers.append(nn.Sequential(*(
                Bottleneck(4 * narrow if block else before, narrow, 1 if block else stride) for block in range(count)
            )))  # fmt: skip
            before = 4 * narrow
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(self.stem(x))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def deep_resnet(*blocks: int) -> Exhibit:
    return classifier(DeepResNet(blocks))


class DenseLayer(nn.Module):
    """Adds a few channels to all that the layers before it made."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        joined = torch.cat(features, 1)
        narrowed = self.conv1(F.relu(self.norm1(joined)))
        return self.conv2(F.relu(self.norm2(narrowed)))


class DenseBlock(nn.Module):
    """Layers, each of which sees what every one before it made."""

    def __init__(self, count: int, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DenseLayer(width + number * growth, growth) for number in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """Dense blocks with a transition that halves width and size after each but the last."""

    def __init__(self, blocks: Sequence[int], growth: int = 2, classes: int = 10) -> None:
        super().__init__()
        width = 2 * growth
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        )  # fmt: skip
        stages: list[nn.Module] = []
        for number, count in enumerate(blocks):
            stages.append(DenseBlock(count, width, growth))
            width += count * growth
            if number + 1 < len(blocks):
                narrowing = nn.Conv2d(width, width // 2, 1, bias=False)
                stages.append(nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), narrowing, nn.AvgPool2d(2)))
                width //= 2
        self.stages = nn.Sequential(*stages)
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.stages(self.stem(x))))
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def densenet(*blocks: int) -> Exhibit:
    return classifier(DenseNet(blocks))


def double_convolution(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
        nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(inplace=True),
    )  # fmt: skip


class UNet(nn.Module):
    """A way down and a way up, with a bridge at every level."""

    def __init__(self, levels: int = 4, width: int = 4) -> None:
        super().__init__()
        self.stem = double_convolution(3, width)
        self.downs = nn.ModuleList(double_convolution(width << n, width << n + 1) for n in range(levels))
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(width << n + 1, width << n, 2, stride=2) for n in reversed(range(levels))
        )
        self.joins = nn.ModuleList(double_convolution(width << n + 1, width << n) for n in reversed(range(levels)))
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        bridges = []
        for down in self.downs:
            bridges.append(x)
            x = down(F.max_pool2d(x, 2))
        for up, join, bridge in zip(self.ups, self.joins, reversed(bridges), strict=True):
            x = join(torch.cat([bridge, up(x)], 1))
        return self.out(x)


def unet() -> Exhibit:
    model = UNet()
    images, wanted = torch.randn(1, 3, 32, 32), torch.randint(2, (1, 32, 32))

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(images), wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


# transformers


def gpt2(layers: int = 12) -> Exhibit:
    return trained(models.gpt2(layers))


def bert(layers: int = 24) -> Exhibit:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=16,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    words, wanted = torch.randint(64, (2, 8)), torch.tensor([0, 1])

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(words).logits, wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


def vit(layers: int = 12) -> Exhibit:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=32, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=48, image_size=16,
        patch_size=8, num_labels=10,
    )  # fmt: skip
    model = ViTForImageClassification(config)
    images, wanted = torch.randn(2, 3, 16, 16), torch.randint(10, (2,))

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(images).logits, wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


def t5(layers: int = 6) -> Exhibit:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        vocab_size=64, d_model=32, d_kv=16, d_ff=48, num_layers=layers, num_decoder_layers=layers, num_heads=2,
        decoder_start_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    words, wanted = torch.randint(1, 64, (2, 8)), torch.randint(1, 64, (2, 6))

    def step() -> torch.Tensor:
        loss = model(input_ids=words, labels=wanted).loss
        loss.backward()
        return loss

    return Exhibit(model, step)


class Experts(nn.Module):
    """A router sends each row to its two best experts and weighs what they say."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.router = nn.Linear(width, count)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(count)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, chosen = self.router(x).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slots = torch.where(chosen == number)
            out = out.index_add(0, rows, expert(x[rows]) * weights[rows, slots, None])
        return out


class MixtureOfExperts(nn.Module):
    """Residual layers of experts between two linear ones."""

    def __init__(self, layers: int, count: int, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.embed = nn.Linear(12, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.layers = nn.ModuleList(Experts(width, count) for _ in range(layers))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = x + layer(norm(x))
        return self.head(x)


def experts(layers: int = 2, count: int = 8) -> Exhibit:
    model = MixtureOfExperts(layers, count)
    rows, wanted = torch.randn(64, 12), torch.randint(10, (64,))

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(rows), wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


# others


class Cell(nn.Module):
    """An LSTM's cell written out, for it is one op where PyTorch has it written."""

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        self.wx = nn.Linear(width, 4 * states)
        self.wh = nn.Linear(states, 4 * states, bias=False)

    def forward(self, x: torch.Tensor, carried: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        h, c = carried
        i, f, o, new = (self.wx(x) + self.wh(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * new.tanh()
        h = o.sigmoid() * c.tanh()
        return h, c


class Recurrent(nn.Module):
    """A cell, step by step, and a linear layer after the last."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell
        self.fc = nn.Linear(8, 3)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        h = c = words.new_zeros(words.shape[1], 8)
        for word in words:
            h, c = self.cell(word, (h, c))
        return self.fc(h)


def lstm(steps: int = 100, cell: Callable[[int, int], nn.Module] = Cell) -> Exhibit:
    model = Recurrent(cell(6, 8))
    words, wanted = torch.randn(steps, 2, 6), torch.randint(3, (2,))

    def step() -> torch.Tensor:
        loss = F.cross_entropy(model(words), wanted)
        loss.backward()
        return loss

    return Exhibit(model, step)


def gan() -> Exhibit:
    """One step of each side; what the judge learns from is detached from the maker."""
    maker = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 6))
    judge = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    to_make = torch.optim.Adam(maker.parameters(), lr=2e-4)
    to_judge = torch.optim.Adam(judge.parameters(), lr=2e-4)
    real, noise = torch.randn(8, 6), torch.randn(8, 4)
    yes, no = torch.ones(8, 1), torch.zeros(8, 1)
    told = F.binary_cross_entropy_with_logits

    def step() -> torch.Tensor:
        fake = maker(noise)
        to_judge.zero_grad()
        judged = told(judge(real), yes) + told(judge(fake.detach()), no)
        judged.backward()
        to_judge.step()
        to_make.zero_grad()
        made = told(judge(fake), yes)
        made.backward()
        to_make.step()
        return made

    return Exhibit(nn.ModuleDict({"maker": maker, "judge": judge}), step)


def double_backward() -> Exhibit:
    """An MLP whose loss has the slope of its output in it."""
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    x = torch.randn(7, 5, requires_grad=True)

    def step() -> torch.Tensor:
        out = model(x)
        (slope,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        loss = out.square().mean() + (slope.norm(dim=1) - 1).square().mean()
        loss.backward()
        return loss

    return Exhibit(model, step)


ZOO: dict[str, Callable[[], Exhibit]] = {
    "double backward": double_backward,
    "GAN": gan,
    "ResNet-18": resnet18,
    "U-Net": unet,
    "MoE": experts,
    "ResNet-50": partial(deep_resnet, 3, 4, 6, 3),
    "ViT": vit,
    "GPT-2": gpt2,
    "ResNet-152": partial(deep_resnet, 3, 8, 36, 3),
    "DenseNet-121": partial(densenet, 6, 12, 24, 16),
    "T5": t5,
    "BERT-24": bert,
    "LSTMCell-100": partial(lstm, 100, nn.LSTMCell),
    "LSTM-100": lstm,
    "LSTM-500": partial(lstm, 500),
    "LSTM-2000": partial(lstm, 2000),
}
