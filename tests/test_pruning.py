"""Pruning: PyTorch's masks, names, values, gradients and errors."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from alike import assert_alike

import gradviz

WEIGHT = [[0.1, -0.2, 0.3, -0.4], [1.0, -1.1, 0.05, 0.9], [-0.6, 0.61, -0.07, 0.25]]


def layer(lib: Any) -> tuple[Any, Any]:
    """The module `prune` of a library, and a linear layer."""
    module = lib.nn.Linear(4, 3)
    with lib.no_grad():
        module.weight.copy_(lib.tensor(WEIGHT))
        module.bias.copy_(lib.tensor([0.5, -1.5, 2.5]))
    return import_module(f"{lib.__name__}.nn.utils.prune"), module


def state(prune: Any, module: Any) -> list[Any]:
    """What can be seen of a pruned layer after a backward pass."""
    module(module.weight.new_ones(2, 4)).square().sum().backward()
    hooks = list(module._forward_pre_hooks.values())
    return [
        list(module.state_dict().items()),
        [(name, one.grad) for name, one in module.named_parameters()],
        module.weight,
        module.bias,
        prune.is_pruned(module),
        [type(hook).__name__ for hook in hooks],
        [type(method).__name__ for hook in hooks if hasattr(hook, "__len__") for method in hook],
    ]


@pytest.mark.parametrize("amount", [0, 2, 12, 13, -1, 0.5, 0.04, 1.0, 1.5, "some"])
def test_the_smallest_elements_are_pruned(amount: Any) -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        assert prune.l1_unstructured(module, "weight", amount) is module
        return state(prune, module)

    assert_alike(program)


@pytest.mark.parametrize(("n", "amount", "dim"), [
    (2, 1, 0), (1, 0.5, 1), (float("inf"), 1, -1), (2, 0, 0), (2, 5, 0), (2, 1, 3),
])  # fmt: skip
def test_channels_are_pruned_by_their_norm(n: float, amount: Any, dim: int) -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        prune.ln_structured(module, "weight", amount, n, dim)
        return state(prune, module)

    assert_alike(program)


def test_a_mask_that_is_given() -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        prune.custom_from_mask(module, "bias", lib.tensor([0, 1, 0]))
        prune.identity(module, "weight")
        return state(prune, module)

    assert_alike(program)


def test_methods_pile_up() -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        prune.l1_unstructured(module, "weight", 2)
        prune.ln_structured(module, "weight", 1, 2, 0)
        prune.l1_unstructured(module, "weight", 0.25)
        prune.custom_from_mask(module, "weight", lib.ones(3, 4).triu())
        return state(prune, module)

    assert_alike(program)


def test_several_parameters_are_pruned_as_one() -> None:
    def program(lib: Any) -> Any:
        (prune, one), (_, other) = layer(lib), layer(lib)
        with lib.no_grad():
            other.weight.mul_(1.01)
        prune.l1_unstructured(other, "weight", 1)
        pairs = [(one, "weight"), (other, "weight"), (other, "bias")]
        prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.3)
        return state(prune, one), state(prune, other)

    assert_alike(program)


def test_what_was_pruned_and_trained_becomes_a_parameter() -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        weight = module.weight
        net = lib.nn.Sequential(module, lib.nn.ReLU())
        prune.l1_unstructured(module, "weight", 0.5)
        optimizer = lib.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (net(lib.ones(2, 4)) ** 2).mean().backward()
            optimizer.step()
        before = prune.is_pruned(net)
        prune.remove(module, "weight")
        return before, prune.is_pruned(net), module.weight is weight, sorted(module.state_dict().items())

    assert_alike(program)


def test_a_method_of_the_users_own() -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)

        class EveryOther(prune.BasePruningMethod):  # type: ignore[name-defined, misc]
            PRUNING_TYPE = "unstructured"

            def compute_mask(self, t: Any, default_mask: Any) -> Any:
                mask = default_mask.clone()
                mask.view(-1)[::2] = 0
                return mask

        EveryOther.apply(module, "weight")
        prune.l1_unstructured(module, "weight", 2)
        return state(prune, module), prune.L1Unstructured(1).prune(lib.tensor([1.0, -3.0, 2.0]))

    assert_alike(program)


def test_importance_is_what_it_is_said_to_be() -> None:
    def program(lib: Any) -> Any:
        prune, module = layer(lib)
        prune.l1_unstructured(module, "weight", 2, importance_scores=lib.arange(12.0).reshape(3, 4))
        return state(prune, module)

    assert_alike(program)


MISTAKES: dict[str, Any] = {
    "never pruned": lambda lib, prune, module: prune.remove(module, "weight"),
    "a mask of another shape": lambda lib, prune, module: prune.custom_from_mask(module, "bias", lib.ones(2)),
    "scores of another shape": lambda lib, prune, module: prune.l1_unstructured(
        module, "weight", 1, importance_scores=lib.ones(12)
    ),
    "a vector has no channels": lambda lib, prune, module: prune.ln_structured(module, "bias", 1, 2, 0),
    "nothing to go through": lambda lib, prune, module: prune.global_unstructured(3, prune.L1Unstructured, amount=1),
    "no method": lambda lib, prune, module: prune.PruningContainer().add_pruning_method("l1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_in_pytorchs_words(name: str) -> None:
    assert_alike(lambda lib: MISTAKES[name](lib, *layer(lib)))


def test_a_layer_that_cannot_be_pruned_stays_as_it_was() -> None:
    prune, module = layer(gradviz)
    before = dict(module.state_dict())
    with pytest.raises(ValueError, match="amount=13"):
        prune.l1_unstructured(module, "weight", 13)
    assert list(module.state_dict()) == list(before)
    assert not prune.is_pruned(module)


def test_what_is_drawn_is_as_much_as_was_asked_for() -> None:
    gradviz.manual_seed(0)
    prune, module = layer(gradviz)
    prune.random_unstructured(module, "weight", 0.25)
    assert module.weight_mask.sum().item() == 9
    prune, module = layer(gradviz)
    prune.random_structured(module, "weight", 2, 1)
    assert module.weight_mask.sum(0).tolist().count(0.0) == 2
    assert module.weight_mask.sum().item() == 6
