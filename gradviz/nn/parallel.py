"""`DataParallel` and `DistributedDataParallel`: a module around another, in one process without GPUs."""

from __future__ import annotations

from typing import Any, NoReturn

from gradviz.nn.module import Module


class DataParallel(Module):
    """A module around another, `module`, which runs as it is: without GPUs there is nothing to split a batch among."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module inside gives."""
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Raises RuntimeError, as PyTorch does where no process group was made: there is one process."""

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "Default process group has not been initialized, please make sure to call init_process_group."
        )
