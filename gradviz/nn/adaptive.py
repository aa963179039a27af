"""`AdaptiveLogSoftmaxWithLoss`: probabilities of many classes, of which the rare ones cost less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gradviz.core import dtypes
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.nn import functional
from gradviz.nn.containers import ModuleList, Sequential
from gradviz.nn.linear import Linear
from gradviz.nn.module import Module


class ASMoutput(NamedTuple):
    """What the layer gives."""

    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log probabilities of targets, by clusters. Source: E. Grave and others, arXiv:1609.04309.

    cutoffs: where the clusters end, rarer classes having greater numbers. div_value: how much smaller the inner vectors
    of each cluster are than those of the one before. head_bias: whether the most frequent classes have a bias. Raises
    ValueError for cutoffs that do not grow.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        if not ends:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            ends != sorted(ends)
            or min(ends) <= 0
            or max(ends) > n_classes - 1
            or len(set(ends)) != len(ends)
            or any(int(end) != end for end in ends)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = ends[0]
        self.n_clusters = len(ends)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, head_bias, dtype=dtype)
        self.tail = ModuleList()
        for number in range(self.n_clusters):
            inner = int(in_features // div_value ** (number + 1))
            count = self.cutoffs[number + 1] - self.cutoffs[number]
            self.tail.append(
                Sequential(
                    Linear(in_features, inner, bias=False, dtype=dtype), Linear(inner, count, bias=False, dtype=dtype)
                )
            )

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> ASMoutput:
        """Input (n, in_features) and target (n,), or (in_features,) and (). Returns (output, loss).

        output: the log probability of each target; loss: its negated mean. Raises RuntimeError for other shapes, and
        for targets that are no class.
        """
        is_batch = target_.dim() == 1
        if target_.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if is_batch and input_.shape[0] != target_.shape[0]:
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input_.dim() != 1 + is_batch:
            raise RuntimeError(
                f"{int(is_batch)}D target tensor expects {1 + is_batch}D input tensors, but found inputs with size "
                f"{input_.size()}"
            )
        input, target = (input_, target_) if is_batch else (input_.unsqueeze(0), target_.unsqueeze(0))
        if not ((target >= 0) & (target < self.n_classes)).all():
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min().item()}, {target.max().item()}] were found. "
            )
        first = functional.log_softmax(self.head(input), dim=1)
        place: Any = target
        output: Any = FUNCTIONS["zeros"](tuple(target.shape), dtype=input.dtype)
        for number in range(self.n_clusters):
            low, high = self.cutoffs[number], self.cutoffs[number + 1]
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if not rows.numel():
                continue
            column = self.shortlist_size + number
            inside = functional.log_softmax(self.tail[number](input.index_select(0, rows)), dim=1)
            own = inside.gather(1, (target.index_select(0, rows) - low).unsqueeze(1))
            output = output.index_copy(0, rows, own.squeeze(1))
            place = place.index_fill(0, rows, column)
        output = output + first.gather(1, place.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return ASMoutput(output if is_batch else output.squeeze(0), loss)

    def log_prob(self, input: Any) -> Tensor:
        """The log probabilities of all classes. Input (n, in_features). Returns (n, n_classes)."""
        first = functional.log_softmax(self.head(input), dim=1)
        parts = [first[:, : self.shortlist_size]]
        for number, tail in enumerate(self.tail):
            column = self.shortlist_size + number
            parts.append(functional.log_softmax(tail(input), dim=1) + first[:, column].unsqueeze(1))
        return FUNCTIONS["cat"](parts, 1)  # type: ignore[no-any-return]

    def predict(self, input: Any) -> Tensor:
        """The likeliest class. Input (n, in_features). Returns (n,), int64."""
        return self.log_prob(input).argmax(dim=1)  # type: ignore[no-any-return]
