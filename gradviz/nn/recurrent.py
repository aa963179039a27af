"""Layers that read sequences step by step: `RNN`, `LSTM`, `GRU`, and one step of each as `RNNCell` and so on.

The gates of a cell lie one below the other in its weights: of an LSTM input, forget, cell, output; of a GRU reset,
update, new.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import gradviz.core.ops.joining as joining
from gradviz.core import dtypes
from gradviz.core.public import FUNCTIONS
from gradviz.core.tensor import Tensor
from gradviz.nn import functional, init
from gradviz.nn.linear import zeros
from gradviz.nn.module import Module
from gradviz.nn.parameter import Parameter
from gradviz.nn.utils.rnn import PackedSequence

_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def _rnn_step(nonlinearity: str) -> Callable[..., Any]:
    def step(x: Any, state: Any, weights: tuple[Any, ...]) -> Any:
        w_ih, w_hh, b_ih, b_hh = weights
        summed = functional.linear(x, w_ih, b_ih) + functional.linear(state, w_hh, b_hh)
        return summed.relu() if nonlinearity == "relu" else summed.tanh()

    return step


def _lstm_step(x: Any, state: Any, weights: tuple[Any, ...]) -> Any:
    (h, c), (w_ih, w_hh, b_ih, b_hh) = state, weights
    gates = functional.linear(x, w_ih, b_ih) + functional.linear(h, w_hh, b_hh)
    gate_in, forget, cell, out = gates.chunk(4, -1)
    c = forget.sigmoid() * c + gate_in.sigmoid() * cell.tanh()
    return out.sigmoid() * c.tanh(), c


def _gru_step(x: Any, state: Any, weights: tuple[Any, ...]) -> Any:
    w_ih, w_hh, b_ih, b_hh = weights
    x_reset, x_update, x_new = functional.linear(x, w_ih, b_ih).chunk(3, -1)
    h_reset, h_update, h_new = functional.linear(state, w_hh, b_hh).chunk(3, -1)
    reset, update = (x_reset + h_reset).sigmoid(), (x_update + h_update).sigmoid()
    new = (x_new + reset * h_new).tanh()
    return new + update * (state - new)


class _Cell(Module):
    """One step. Input (n, input_size) or (input_size,); the state likewise, zeros where none is given."""

    _gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = self._gates * hidden_size
        self.weight_ih = zeros((rows, input_size), dtype)
        self.weight_hh = zeros((rows, hidden_size), dtype)
        for name in ("bias_ih", "bias_hh"):
            if bias:
                setattr(self, name, zeros((rows,), dtype))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _draw(self, self.hidden_size)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _zeros(self, input: Tensor) -> Tensor:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        return _nothing(input, (*input.shape[:-1], self.hidden_size))

    def extra_repr(self) -> str:
        """The lengths, and what is not as usual."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_Cell):
    """One step of an `RNN`. nonlinearity: "tanh" or "relu"."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Returns the new state."""
        state = self._zeros(input) if hx is None else hx
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        result: Tensor = _rnn_step(self.nonlinearity)(input, state, self._weights())
        return result

    def extra_repr(self) -> str:
        """The lengths, and what is not as usual."""
        text = super().extra_repr()
        return text if self.nonlinearity == "tanh" else f"{text}, nonlinearity={self.nonlinearity}"


class LSTMCell(_Cell):
    """One step of an `LSTM`."""

    _gates = 4

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Returns the new hidden state and cell state."""
        state = (self._zeros(input),) * 2 if hx is None else hx
        result: tuple[Tensor, Tensor] = _lstm_step(input, state, self._weights())
        return result


class GRUCell(_Cell):
    """One step of a `GRU`."""

    _gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """Returns the new state."""
        result: Tensor = _gru_step(input, self._zeros(input) if hx is None else hx, self._weights())
        return result


class RNNBase(Module):
    """Several layers of steps, each reading what the one below gives, forwards or both ways.

    batch_first: input and output are (batch, length, size) and not (length, batch, size). dropout: between layers.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: dtypes.dtype | None = None,
    ) -> None:
        super().__init__()
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        rows = _GATES[mode.partition("_")[0]] * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._suffixes(layer):
                setattr(self, f"weight_ih_{suffix}", zeros((rows, width), dtype))
                setattr(self, f"weight_hh_{suffix}", zeros((rows, hidden_size), dtype))
                if bias:
                    setattr(self, f"bias_ih_{suffix}", zeros((rows,), dtype))
                    setattr(self, f"bias_hh_{suffix}", zeros((rows,), dtype))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> tuple[str, ...]:
        return (f"l{layer}", f"l{layer}_reverse") if self.bidirectional else (f"l{layer}",)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        _draw(self, self.hidden_size)

    def flatten_parameters(self) -> None:
        """Nothing: there is no other layout for them."""

    def _weights(self, suffix: str) -> tuple[Parameter | None, ...]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple(self._parameters.get(f"{name}_{suffix}") for name in names)

    @property
    def _step(self) -> Callable[..., Any]:
        if self.mode == "LSTM":
            return _lstm_step
        return _gru_step if self.mode == "GRU" else _rnn_step("relu" if self.mode == "RNN_RELU" else "tanh")

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Input (length, batch, input_size), without the batch for one sequence, or as `batch_first` says; or packed.

        hx: the first states, (layers * directions, batch, hidden_size); of an LSTM a pair of these. Returns the states
        of the last layer at each step, packed if the input was, and the last states of all layers.
        """
        if self.mode == "LSTM" and hx is not None:
            hx = tuple(hx)
        if isinstance(input, PackedSequence):
            return self._packed(input, hx)
        if input.ndim not in (2, 3):
            raise ValueError(f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.ndim}D instead")
        self._check(input)
        batched = input.ndim == 3
        x: Any = input if batched else input.unsqueeze(1)
        if batched and self.batch_first:
            x = x.transpose(0, 1)
        if hx is None:
            hx = self._first(x, x.shape[1])
        elif not batched:
            hx = _mapped(lambda part: part.unsqueeze(1), hx)
        output, last = self._run(x, hx, lambda x: list(x.unbind(0)), joining.stack)
        if batched and self.batch_first:
            output = output.transpose(0, 1)
        if not batched:
            output = output.squeeze(1)
            last = _mapped(lambda part: part.squeeze(1), last)
        return output, last

    def _packed(self, input: PackedSequence, hx: Any) -> tuple[PackedSequence, Any]:
        data, sizes, order, back = input
        self._check(data)
        counts = sizes.tolist()
        if hx is None:
            hx = self._first(data, counts[0])
        elif order is not None:
            hx = _mapped(lambda part: part.index_select(1, order), hx)
        output, last = self._run(data, hx, lambda x: list(x.split(counts)), joining.cat)
        if back is not None:
            last = _mapped(lambda part: part.index_select(1, back), last)
        return PackedSequence(output, sizes, order, back), last

    def _check(self, input: Any) -> None:
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def _first(self, like: Any, batch: int) -> Any:
        """The states to begin with where none are given."""
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        return (_nothing(like, shape), _nothing(like, shape)) if self.mode == "LSTM" else _nothing(like, shape)

    def _run(self, x: Any, hx: Any, apart: Callable[[Any], list[Any]], joined: Callable[[Any], Any]) -> tuple[Any, Any]:
        """apart: the input at each step, of the sequences that are left then. joined: what puts these together."""
        ends: list[Any] = []
        for layer in range(self.num_layers):
            ways = []
            for backwards, suffix in enumerate(self._suffixes(layer)):
                number = len(ends)
                state = _mapped(lambda part, number=number: part[number], hx)
                outputs, end = _steps(self._step, apart(x), state, self._weights(suffix), bool(backwards))
                ends.append(end)
                ways.append(joined(outputs))
            x = joining.cat(ways, -1) if self.bidirectional else ways[0]
            if self.dropout and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)
        if self.mode == "LSTM":
            return x, (joining.stack([h for h, _ in ends]), joining.stack([c for _, c in ends]))
        return x, joining.stack(ends)

    def extra_repr(self) -> str:
        """The lengths, and what is not as usual."""
        text = f"{self.input_size}, {self.hidden_size}"
        usual = (("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0), ("bidirectional", False))
        return text + "".join(
            f", {name}={getattr(self, name)}" for name, value in usual if getattr(self, name) != value
        )


def _mapped(call: Callable[..., Any], state: Any) -> Any:
    """`call` of a state, or of both states of an LSTM."""
    return tuple(map(call, state)) if isinstance(state, tuple) else call(state)


def _steps(
    step: Callable[..., Any], given: list[Any], first: Any, weights: tuple[Any, ...], backwards: bool
) -> tuple[list[Any], Any]:
    """The state at each step, of an LSTM the hidden one, and the last states; of sequences that end later fewer ones.

    first: the states to begin with, of all sequences.
    """
    state, outputs, ended = first, [], []
    rows = len(given[-1] if backwards else given[0])
    if rows < _rows(first):
        state = _mapped(lambda part: part[:rows], first)
    for one in reversed(given) if backwards else given:
        before, rows = rows, len(one)
        if rows < before:
            ended.append(_mapped(lambda part, rows=rows: part[rows:], state))
            state = _mapped(lambda part, rows=rows: part[:rows], state)
        elif rows > before:
            more = _mapped(lambda part, before=before, rows=rows: part[before:rows], first)
            state = _together([state, more])
        state = step(one, state, weights)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    return outputs[::-1] if backwards else outputs, _together([state, *reversed(ended)]) if ended else state


def _rows(state: Any) -> int:
    return len(state[0] if isinstance(state, tuple) else state)


def _together(parts: list[Any]) -> Any:
    """States of some sequences, then of the others."""
    if isinstance(parts[0], tuple):
        return tuple(joining.cat(list(same)) for same in zip(*parts, strict=True))
    return joining.cat(parts)


class RNN(RNNBase):
    """h' = tanh(W x + b + V h + c), or with a rectifier. nonlinearity: "tanh" or "relu"."""

    def __init__(
        self, input_size: int, hidden_size: int, *args: Any, nonlinearity: str = "tanh", **kwargs: Any
    ) -> None:
        if len(args) > 1 and isinstance(args[1], str):
            nonlinearity, args = args[1], (args[0], *args[2:])
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.__dict__["nonlinearity"] = nonlinearity
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, *args, **kwargs)


class LSTM(RNNBase):
    """Long short-term memory. Source: S. Hochreiter and J. Schmidhuber, 1997, with a forget gate."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", input_size, hidden_size, *args, **kwargs)


class GRU(RNNBase):
    """The gated recurrent unit, with the reset gate behind the matrix. Source: K. Cho and others, 2014."""

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("GRU", input_size, hidden_size, *args, **kwargs)


def _draw(module: Module, hidden_size: int) -> None:
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size > 0 else 0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def _nothing(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    result: Tensor = FUNCTIONS["zeros"](shape, dtype=like.dtype)
    return result
