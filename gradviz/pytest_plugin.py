"""The pytest plugin: a fixture that asserts that gradients flow, and knows the line where they do not.

Pytest loads this at its start, in projects that never use it: nothing is imported here that is not needed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def gradients_flow() -> Iterator[Callable[..., None]]:
    """`gradviz.testing.assert_gradients_flow`, with the test recorded from here on, so that a failure names the line.

    def test_the_model_learns(gradients_flow):
        loss = model(x).mean()
        gradients_flow(loss, model)
    """
    from gradviz.recorder import record
    from gradviz.testing import assert_gradients_flow

    def check(loss: Any, parameters: Any, **options: bool) -> None:
        __tracebackhide__ = True
        assert_gradients_flow(loss, parameters, **options)

    with record():
        yield check
