"""Modules of PyTorch whose names gradviz has in another module, and those that say that one process is all there is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NoReturn

_LAYERS = ("activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance", "dropout",
           "flatten", "fold", "instancenorm", "lazy", "linear", "loss", "module", "normalization", "padding",
           "pixelshuffle", "pooling", "rnn", "sparse", "transformer", "upsampling")  # fmt: skip
_VARIABLES = ("bernoulli", "beta", "binomial", "categorical", "cauchy", "chi2", "continuous_bernoulli", "dirichlet",
              "distribution", "exponential", "fishersnedecor", "gamma", "geometric", "gumbel", "half_cauchy",
              "half_normal", "independent", "inverse_gamma", "kl", "kumaraswamy", "laplace", "lkj_cholesky",
              "log_normal", "logistic_normal", "lowrank_multivariate_normal", "mixture_same_family", "multinomial",
              "multivariate_normal", "negative_binomial", "normal", "one_hot_categorical", "pareto", "poisson",
              "relaxed_bernoulli", "relaxed_categorical", "studentT", "transformed_distribution", "uniform",
              "von_mises", "weibull", "wishart")  # fmt: skip
_OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "lbfgs", "nadam", "radam", "rmsprop", "rprop",
               "sgd")  # fmt: skip

SAME = {
    "torch.nn.modules": "nn",
    "torch.nn.utils.clip_grad": "nn.utils",
    "torch.nn.utils.convert_parameters": "nn.utils",
    **{f"torch.nn.modules.{name}": "nn" for name in _LAYERS},
    **{f"torch.distributions.{name}": "distributions" for name in _VARIABLES},
    **{f"torch.optim.{name}": "optim" for name in _OPTIMIZERS},
    "torch.autograd.grad_mode": "autograd",
    "torch.autograd.anomaly_mode": "autograd",
    "torch.utils.data.dataset": "utils.data",
    "torch.utils.data.dataloader": "utils.data",
    "torch.utils.data.sampler": "utils.data",
    "torch.cuda.amp": "amp",
}
"""By the module of PyTorch that of gradviz which has all its names."""


def itself(fn: Any = None, **options: Any) -> Any:
    """A function as it is, or what decorates one."""
    return itself if fn is None else fn


def nothing(*args: Any, **kwargs: Any) -> None:
    """What is asked for makes no difference here."""


def _no(*args: Any, **kwargs: Any) -> bool:
    return False


def _alone(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError(
        "gradviz's own tensors live in one process, so there is no process group; run the script without `torchrun`, "
        "or with PyTorch"
    )


@contextmanager
def _block(*args: Any, **kwargs: Any) -> Any:
    yield


def modules() -> dict[str, dict[str, Any]]:
    """By the name of a module of PyTorch's what it has here: code runs as it is written, in one process."""
    alone: dict[str, Callable[..., Any]] = dict.fromkeys(
        ("init_process_group", "destroy_process_group", "new_group", "get_rank", "get_world_size", "barrier",
         "all_reduce", "all_gather", "broadcast", "reduce", "gather", "scatter", "send", "recv"),
        _alone,
    )  # fmt: skip
    return {
        "torch.distributed": {
            **dict.fromkeys(("is_available", "is_initialized", "is_torchelastic_launched", "is_nccl_available"), _no),
            **alone,
        },
        "torch.jit": {
            "script": _scripted,
            "trace": lambda func, *args, **options: func,
            **dict.fromkeys(("ignore", "export", "unused", "script_if_tracing", "freeze"), itself),
            **dict.fromkeys(("is_scripting", "is_tracing"), _no),
            "annotate": lambda the_type, the_value: the_value,
        },
        "torch.nn.attention": {"SDPBackend": _Backends(), "sdpa_kernel": _block},
        "torch.nn.modules.utils": {
            "_single": _repeated(1),
            "_pair": _repeated(2),
            "_triple": _repeated(3),
            "_quadruple": _repeated(4),
        },
        "torch.serialization": {"add_safe_globals": nothing},
    }


def _scripted(obj: Any, *args: Any, **options: Any) -> Any:
    """What `torch.jit.script` compiles, as it is."""
    return obj


class _Backends:
    """`SDPBackend`: names of ways to compute attention, of which there is one here."""

    MATH = "MATH"
    FLASH_ATTENTION = "FLASH_ATTENTION"
    EFFICIENT_ATTENTION = "EFFICIENT_ATTENTION"
    CUDNN_ATTENTION = "CUDNN_ATTENTION"


def _repeated(count: int) -> Callable[[Any], tuple[Any, ...]]:
    def repeated(value: Any) -> tuple[Any, ...]:
        return tuple(value) if hasattr(value, "__iter__") else (value,) * count

    return repeated
