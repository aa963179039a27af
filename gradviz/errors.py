"""Every exception that gradviz raises on purpose, and the exit status that each stands for.

A command that fails ends with one of four statuses:

    1   the user's script raised (the script's own status is kept where it has one)
    2   usage: an argument, a target or an output that cannot be used
    3   a log that cannot be read
    4   a defect in gradviz itself

Messages are lowercase, carry the user's own names in backticks and have no final period; `help` holds one action.
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_SCRIPT = 1
EXIT_USAGE = 2
EXIT_LOG = 3
EXIT_INTERNAL = 4


class GradvizError(Exception):
    """A failure that gradviz understands; `str(error)` is one line, `help` one action or empty."""

    exit_code = EXIT_INTERNAL

    def __init__(self, message: str, *, help: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.help = help


class UsageError(GradvizError):
    """An argument, a target, a name or an output path that cannot be used as given."""

    exit_code = EXIT_USAGE


class LogError(GradvizError):
    """A log file that cannot be read: not a log, a newer major schema, or damaged before its last line."""

    exit_code = EXIT_LOG


class GraphError(GradvizError):
    """A graph that breaks one of its invariants; raised by `Graph.validate`."""

    exit_code = EXIT_LOG


class NotDifferentiableError(RuntimeError, GradvizError):
    """An operation that has no derivative was asked for one."""

    def __init__(self, message: str, *, help: str = "") -> None:
        GradvizError.__init__(self, message, help=help)


class NotWrittenError(NotImplementedError, GradvizError):
    """An operation or an option that PyTorch has and gradviz's core does not have yet."""

    def __init__(self, message: str, *, help: str = "") -> None:
        GradvizError.__init__(self, message, help=help)


_ABSENT = {
    "complex numbers are": "cfloat cdouble chalf complex complex32 complex64 complex128 ComplexFloatStorage "
    "ComplexDoubleStorage polar view_as_complex view_as_real stft istft angle imag isreal eig eigvals fft",
    "bfloat16 is": "BFloat16Tensor BFloat16Storage",
    "sparse layouts are": "sparse sparse_coo_tensor sparse_csr_tensor sparse_csc_tensor sparse_bsr_tensor "
    "sparse_bsc_tensor sparse_compressed_tensor sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc SparseAdam",
    "quantized numbers are": "qint8 qint32 quint8 quantize_per_tensor quantize_per_channel quantization",
}
"""What gradviz's own tensors are without, and the names of PyTorch's that need it."""


def missing_name(module: str, name: str, known: Iterable[str]) -> AttributeError:
    """The error for a public name that `module` lacks; says the nearest of those it has, or that PyTorch has more."""
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    absent = next((what for what, names in _ABSENT.items() if name in names.split()), None)
    if absent:
        hint = f"{absent} not written yet for gradviz's own tensors"
    elif close:
        hint = f"did you mean `{module}.{close[0]}`?"
    else:
        hint = f"gradviz's own tensors have a part of what PyTorch has, listed by `dir({module})`"
    return AttributeError(f"module '{module}' has no attribute '{name}'; {hint}", name=name)
