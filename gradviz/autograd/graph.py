"""What is behind a result: its nodes, and hooks on what they save."""

from __future__ import annotations

from gradviz.core.packing import saved_tensors_hooks as saved_tensors_hooks
from gradviz.core.trace import Node as Node
