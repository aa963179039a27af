"""The modules that are compared with PyTorch's: how each is made, and what it is called with.

An input is a shape, for numbers with a sign; `whole(n, *shape)` for whole numbers below n; or a tuple of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Whole:
    """Whole numbers below `below`."""

    below: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Between:
    """Numbers between 0 and 1."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signs:
    """Ones and minus ones."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Distinct:
    """Whole numbers below `below`, none twice in the last dimension."""

    below: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One module, made with `args` and `kwargs` and called with `inputs`.

    needs   the functions of `nn.functional` without which it cannot run
    """

    kind: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ((4, 3),)
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        options = [*map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs.items())]
        return f"{self.kind}({', '.join(options)})"


def case(kind: str, *args: Any, inputs: tuple[Any, ...] = ((4, 3),), needs: str = "", **kwargs: Any) -> Case:
    """A case, from the call that makes the module."""
    return Case(kind, args, kwargs, inputs, tuple(needs.split()))


def data_of(given: Any, seed: int, dtype: Any = np.float32) -> Any:
    """The array that an input stands for, or tuples of them."""
    draw = np.random.default_rng(seed)
    if isinstance(given, Whole):
        return draw.integers(0, given.below, given.shape)
    if isinstance(given, Between):
        return draw.uniform(0.05, 0.95, given.shape).astype(dtype)
    if isinstance(given, Signs):
        return np.sign(draw.standard_normal(given.shape)).astype(np.int64)
    if isinstance(given, Distinct):
        ranks = draw.standard_normal((*given.shape[:-1], given.below)).argsort(-1)
        return ranks[..., : given.shape[-1]].copy()
    if given and isinstance(given[0], tuple | Whole | Between | Signs | Distinct):
        return tuple(data_of(part, seed + 10 * number + 1, dtype) for number, part in enumerate(given))
    return draw.standard_normal(given).astype(dtype)


IMAGE = (2, 4, 6, 5)
CASES = [
    case("Linear", 3, 5),
    case("Linear", 3, 5, bias=False),
    case("Linear", 3, 2, inputs=((2, 4, 3),)),
    case("Linear", 3, 2, inputs=((3,),)),
    case("Bilinear", 3, 2, 4, inputs=((5, 3), (5, 2))),
    case("Identity"),
    case("Identity", 54, unused=1),
    case("Conv1d", 4, 6, 3, inputs=((2, 4, 7),), needs="conv1d"),
    case("Conv1d", 4, 6, 3, 2, 1, inputs=((2, 4, 7),), needs="conv1d"),
    case("Conv2d", 4, 6, 3, inputs=(IMAGE,), needs="conv2d"),
    case("Conv2d", 4, 6, (3, 2), stride=2, padding=(1, 0), inputs=(IMAGE,), needs="conv2d"),
    case("Conv2d", 4, 6, 3, groups=2, dilation=2, padding=2, bias=False, inputs=(IMAGE,), needs="conv2d"),
    case("Conv2d", 4, 2, 3, padding="same", inputs=(IMAGE,), needs="conv2d"),
    case("Conv2d", 4, 2, 3, padding=1, padding_mode="reflect", inputs=(IMAGE,), needs="conv2d pad"),
    case("BatchNorm1d", 3, needs="batch_norm"),
    case("BatchNorm1d", 3, inputs=((4, 3, 5),), momentum=None, needs="batch_norm"),
    case("BatchNorm1d", 3, affine=False, track_running_stats=False, needs="batch_norm"),
    case("BatchNorm2d", 4, inputs=(IMAGE,), needs="batch_norm"),
    case("LayerNorm", 3),
    case("LayerNorm", (4, 3), eps=1e-3),
    case("LayerNorm", 3, bias=False),
    case("LayerNorm", 3, elementwise_affine=False),
    case("RMSNorm", 3),
    case("RMSNorm", (4, 3), eps=1e-3, elementwise_affine=False),
    case("GroupNorm", 2, 4, inputs=(IMAGE,)),
    case("GroupNorm", 1, 3, affine=False),
    case("Embedding", 7, 3, inputs=(Whole(7, (4, 2)),)),
    case("Embedding", 7, 3, padding_idx=-1, inputs=(Whole(7, (5,)),)),
    case("Dropout", 0.4),
    case("Dropout", inplace=False),
    case("Flatten", inputs=((2, 3, 4),)),
    case("Flatten", 0, inputs=((2, 3, 4),)),
    case("Unflatten", 1, (1, 3)),
    case("ReLU"),
    case("ReLU6"),
    case("LeakyReLU", 0.2),
    case("ELU", 0.7),
    case("CELU", 0.7, needs="celu"),
    case("SELU", needs="selu"),
    case("GELU"),
    case("GELU", "tanh"),
    case("SiLU"),
    case("Mish", needs="mish"),
    case("Hardtanh", -0.5, 0.5),
    case("Hardsigmoid", needs="hardsigmoid"),
    case("Hardswish", needs="hardswish"),
    case("Threshold", 0.1, 20.0, needs="threshold"),
    case("Sigmoid"),
    case("LogSigmoid", needs="logsigmoid"),
    case("Tanh"),
    case("Tanhshrink", needs="tanhshrink"),
    case("Softsign", needs="softsign"),
    case("Softplus"),
    case("Softplus", 2.0, 1.0),
    case("PReLU"),
    case("PReLU", 3, 0.1),
    case("GLU", inputs=((3, 4),)),
    case("Softmax", 1),
    case("LogSoftmax", dim=-1),
    case("Softmin", 0),
    case("MSELoss", inputs=((4, 3), (4, 3))),
    case("MSELoss", reduction="sum", inputs=((4, 3), (4, 3))),
    case("L1Loss", inputs=((4, 3), (4, 3))),
    case("SmoothL1Loss", beta=0.5, inputs=((4, 3), (4, 3))),
    case("HuberLoss", delta=0.5, inputs=((4, 3), (4, 3))),
    case("KLDivLoss", reduction="batchmean", inputs=((4, 3), Between((4, 3))), needs="kl_div"),
    case("BCELoss", inputs=(Between((4, 3)), Between((4, 3)))),
    case("BCEWithLogitsLoss", inputs=((4, 3), Between((4, 3)))),
    case("NLLLoss", ignore_index=1, inputs=((4, 3), Whole(3, (4,)))),
    case("CrossEntropyLoss", inputs=((4, 3), Whole(3, (4,)))),
    case("CrossEntropyLoss", label_smoothing=0.1, reduction="none", inputs=((4, 3), Whole(3, (4,)))),
    case("MaxPool1d", 2, inputs=((2, 3, 7),), needs="max_pool1d"),
    case("MaxPool2d", 2, inputs=(IMAGE,), needs="max_pool2d"),
    case("MaxPool2d", 3, stride=2, padding=1, inputs=(IMAGE,), needs="max_pool2d"),
    case("AvgPool1d", 2, inputs=((2, 3, 7),), needs="avg_pool1d"),
    case("AvgPool2d", (2, 3), 1, inputs=(IMAGE,), needs="avg_pool2d"),
    case("AdaptiveAvgPool2d", 1, inputs=(IMAGE,), needs="adaptive_avg_pool2d"),
    case("AdaptiveAvgPool2d", (3, 2), inputs=(IMAGE,), needs="adaptive_avg_pool2d"),
    case("AdaptiveMaxPool2d", (3, 2), inputs=(IMAGE,), needs="adaptive_max_pool2d"),
    case("Conv3d", 2, 4, 2, groups=2, inputs=((2, 2, 3, 4, 3),)),
    case("ConvTranspose1d", 4, 2, 3, 2, 1, 1, inputs=((2, 4, 5),)),
    case("ConvTranspose2d", 4, 6, 3, inputs=(IMAGE,)),
    case("ConvTranspose2d", 4, 6, (3, 2), stride=2, padding=(1, 0), groups=2, bias=False, dilation=2, inputs=(IMAGE,)),
    case("ConvTranspose3d", 2, 1, 2, output_padding=(0, 1, 0), stride=2, inputs=((1, 2, 2, 3, 2),)),
    case("BatchNorm3d", 2, inputs=((2, 2, 2, 3, 2),)),
    case("InstanceNorm1d", 3, inputs=((4, 3, 5),)),
    case("InstanceNorm2d", 4, affine=True, track_running_stats=True, inputs=(IMAGE,)),
    case("InstanceNorm3d", 2, inputs=((2, 2, 3, 2),)),
    case("LocalResponseNorm", 2, alpha=0.1, inputs=(IMAGE,)),
    case("EmbeddingBag", 7, 3, inputs=(Whole(7, (4, 2)),)),
    case("EmbeddingBag", 7, 3, mode="max", padding_idx=2, inputs=(Whole(7, (5, 3)),)),
    case("Dropout1d", 0.4, inputs=((4, 3, 5),)),
    case("Dropout2d", inputs=(IMAGE,)),
    case("Dropout3d", inputs=((2, 4, 2, 2, 1),)),
    case("AlphaDropout", 0.3),
    case("FeatureAlphaDropout", inputs=((4, 3, 5),)),
    case("Hardshrink", 0.3),
    case("Softshrink"),
    case("RReLU"),
    case("Softmax2d", inputs=(IMAGE,)),
    case("MaxPool3d", 2, 1, inputs=((2, 3, 3, 4, 3),)),
    case("AvgPool3d", (1, 2, 2), inputs=((2, 3, 3, 4, 3),)),
    case("AdaptiveAvgPool1d", 3, inputs=((2, 3, 7),)),
    case("AdaptiveAvgPool3d", 2, inputs=((2, 3, 3, 4, 3),)),
    case("AdaptiveMaxPool1d", 3, return_indices=True, inputs=((2, 3, 7),)),
    case("AdaptiveMaxPool3d", (1, 2, 2), inputs=((2, 3, 3, 4, 3),)),
    case("LPPool1d", 2, 3, inputs=(Between((2, 3, 7)),)),
    case("LPPool2d", 3, 2, stride=1, inputs=(Between(IMAGE),)),
    case("LPPool3d", 2, 2, inputs=(Between((2, 3, 3, 4, 3)),)),
    case("FractionalMaxPool2d", 2, 2, inputs=(IMAGE,)),
    case("MaxUnpool1d", 2, inputs=((1, 2), Distinct(4, (1, 2)))),
    case("MaxUnpool2d", 2, inputs=((3, 1, 2), Distinct(8, (3, 1, 2)))),
    case("MaxUnpool3d", (1, 2, 2), inputs=((2, 1, 1, 2), Distinct(8, (2, 1, 1, 2)))),
    *(
        case(f"{kind}Pad{count}d", *((1, 0.5) if kind == "Constant" else (1,)), inputs=((2, 3, 4, 3, 4)[: count + 2],))
        for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero")
        for count in (1, 2, 3)
    ),
    case("ZeroPad2d", (1, 2, 0, 1), inputs=(IMAGE,)),
    case("PixelShuffle", 2, inputs=(IMAGE,)),
    case("PixelUnshuffle", 2, inputs=((2, 3, 4, 6),)),
    case("ChannelShuffle", 2, inputs=(IMAGE,)),
    case("Unfold", 2, stride=2, inputs=(IMAGE,)),
    case("Fold", (4, 5), (2, 2), padding=1, inputs=((2, 8, 30),)),
    case("Upsample", scale_factor=2, inputs=(IMAGE,)),
    case("Upsample", (3, 4), mode="bilinear", inputs=(IMAGE,)),
    case("UpsamplingNearest2d", (3, 4), inputs=(IMAGE,)),
    case("UpsamplingBilinear2d", scale_factor=2, inputs=(IMAGE,)),
    case("PairwiseDistance", keepdim=True, inputs=((4, 3), (4, 3))),
    case("SoftMarginLoss", inputs=((4, 3), Signs((4, 3)))),
    case("MultiLabelMarginLoss", inputs=((4, 3), Whole(3, (4, 3)))),
    case("MultiLabelSoftMarginLoss", inputs=((4, 3), Between((4, 3)))),
    case("MultiMarginLoss", 2, 0.5, inputs=((4, 3), Whole(3, (4,)))),
    case("MarginRankingLoss", 0.2, inputs=((4,), (4,), Signs((4,)))),
    case("HingeEmbeddingLoss", reduction="sum", inputs=((4, 3), Signs((4, 3)))),
    case("PoissonNLLLoss", full=True, inputs=((4, 3), Between((4, 3)))),
    case("GaussianNLLLoss", inputs=((4, 3), (4, 3), Between((4, 3)))),
    case("CosineEmbeddingLoss", inputs=((4, 3), (4, 3), Signs((4,)))),
    case("TripletMarginLoss", inputs=((4, 3), (4, 3), (4, 3))),
    case("TripletMarginWithDistanceLoss", swap=True, inputs=((4, 3), (4, 3), (4, 3))),
    case("CosineSimilarity", 1, inputs=((4, 3), (4, 3)), needs="cosine_similarity"),
    case("RNNCell", 3, 5),
    case("RNNCell", 3, 5, nonlinearity="relu", inputs=((4, 3), (4, 5))),
    case("LSTMCell", 3, 5),
    case("LSTMCell", 3, 5, bias=False, inputs=((4, 3), ((4, 5), (4, 5)))),
    case("GRUCell", 3, 5),
    case("GRUCell", 3, 5, inputs=((4, 3), (4, 5))),
    case("RNN", 3, 5, inputs=((6, 2, 3),)),
    case("RNN", 3, 5, 2, nonlinearity="relu", batch_first=True, inputs=((2, 6, 3), (2, 2, 5))),
    case("LSTM", 3, 5, inputs=((6, 2, 3),)),
    case("LSTM", 3, 5, num_layers=2, inputs=((6, 2, 3), ((2, 2, 5), (2, 2, 5)))),
    case("LSTM", 3, 5, bidirectional=True, batch_first=True, num_layers=2, inputs=((2, 6, 3),)),
    case("GRU", 3, 5, bias=False, inputs=((6, 3),)),
    case("GRU", 3, 5, 2, bidirectional=True, inputs=((6, 2, 3),)),
    case("MultiheadAttention", 8, 2, inputs=((5, 3, 8), (4, 3, 8), (4, 3, 8))),
    case("MultiheadAttention", 8, 4, batch_first=True, bias=False, inputs=((3, 5, 8), (3, 4, 8), (3, 4, 8))),
    case("MultiheadAttention", 8, 2, kdim=6, vdim=7, inputs=((5, 3, 8), (4, 3, 6), (4, 3, 7))),
    case("MultiheadAttention", 8, 2, inputs=((5, 8), (4, 8), (4, 8))),
    case("TransformerEncoderLayer", 8, 2, 16, dropout=0.0, inputs=((5, 3, 8),)),
    case("TransformerDecoderLayer", 8, 2, 16, dropout=0.0, inputs=((5, 3, 8), (4, 3, 8))),
    case("TransformerDecoderLayer", 8, 4, 16, 0.0, "gelu", batch_first=True, norm_first=True,
         inputs=((3, 5, 8), (3, 4, 8))),
    case(
        "TransformerEncoderLayer", 8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, inputs=((3, 5, 8),)
    ),
]
