"""The pytest plugin, in a pytest of its own: what its fixture says, and that it costs nothing where it is not used."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test file with this plugin and no other, in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(test_model=source)
        return pytester.runpytest_subprocess("-p", "gradviz.pytest_plugin", "-W", "error", "-q")

    return run


def test_the_entry_point_names_the_plugin() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (module,) = project["entry-points"]["pytest11"].values()
    assert hasattr(import_module(module), "gradients_flow")


def test_a_project_that_does_not_use_it_loads_nothing(run: Run) -> None:
    result = run(
        """
        import sys
        def test_light():
            assert "gradviz.pytest_plugin" in sys.modules
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert not loaded & {"torch", "numpy", "rich", "click", "graphviz"}
            assert "gradviz.recorder" not in sys.modules
        """
    )
    result.assert_outcomes(passed=1)


def test_core(run: Run) -> None:
    result = run(
        """
        import gradviz, pytest

        @pytest.fixture
        def w():
            return gradviz.tensor([1.0, 2.0], requires_grad=True)

        def test_flows(gradients_flow, w):
            gradients_flow((w * w).sum(), [w])

        def test_is_cut(w, gradients_flow):
            v = gradviz.tensor([1.0, 1.0], requires_grad=True)
            h = (w * 3).detach()
            gradients_flow((h * v).sum(), {"w": w, "v": v})

        def test_nothing_is_left_behind():
            from gradviz.recorder import active
            assert active() == ()
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       gradients_flow((h * v).sum(), {\"w\": w, \"v\": v})",
            "E       AssertionError: error[[]GV101[]]: `w` gets no gradient: *`detach()`*",
            "E         --> test_model.py:12:*",
            "E       12 |     h = (w * 3).detach()",
            "test_model.py:13: AssertionError",
        ]
    )
    result.stdout.no_fnmatch_line("*gradviz/testing.py*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_torch(run: Run) -> None:
    result = run(
        """
        import pytest, torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder, self.head = nn.Linear(3, 4), nn.Linear(4, 1)

            def forward(self, x, cut):
                with torch.set_grad_enabled(not cut):
                    h = self.encoder(x)
                return self.head(h).sum()

        @pytest.fixture(scope="module")
        def net():
            return Net()

        @pytest.mark.parametrize("cut", [False, True])
        def test_flows(gradients_flow, net, cut):
            gradients_flow(net(torch.ones(2, 3), cut), net)

        def test_after_backward(gradients_flow, net):
            net.zero_grad()
            loss = net(torch.ones(2, 3), False)
            loss.backward()
            gradients_flow(loss, net.named_parameters(), after_backward=True)
        """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: error[[]GV202[]]: `encoder.weight` and `encoder.bias` get no gradient: *",
            "E*10 |         with torch.set_grad_enabled(not cut):",
        ]
    )
