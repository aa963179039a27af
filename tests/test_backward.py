"""Backward passes: what reaches which leaf, what is kept and freed, hooks, and every error, as PyTorch has them."""

from __future__ import annotations

import copy
import pickle

import pytest
from alike import assert_alike

import gradviz


def leaf(library, *values):
    return library.tensor(list(values) or [1.0, 2.0], requires_grad=True)


def caught(call):
    try:
        return call()
    except (RuntimeError, TypeError) as error:
        return error


def test_gradients_accumulate_into_the_same_object():
    def program(library):
        w = leaf(library)
        (w * w).sum().backward()
        first = w.grad
        (w * 3).sum().backward()
        return w.grad, w.grad is first, w.grad.requires_grad

    assert_alike(program)


def test_a_cotangent_can_be_given():
    def program(library):
        w = leaf(library)
        (w * w).backward(library.tensor([1.0, 10.0]))
        return w.grad

    assert_alike(program)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda library: (leaf(library) * 2).backward(),
        lambda library: library.tensor([1.0]).backward(),
        lambda library: leaf(library).detach().sum().backward(),
        lambda library: library.autograd.grad(leaf(library).sum(), leaf(library)),
        lambda library: library.autograd.grad(leaf(library).sum(), library.tensor([1.0])),
        lambda library: leaf(library).sum().backward(inputs=[]),
        lambda library: library.tensor([1, 2], requires_grad=True),
        lambda library: library.tensor([1, 2]).requires_grad_(),
        lambda library: (leaf(library) * 2).requires_grad_(False),
        lambda library: leaf(library).numpy(),
        lambda library: library.tensor([1.0]).register_hook(print),
        lambda library: library.tensor([1.0]).retain_grad(),
        lambda library: leaf(library).__imul__(2),
        lambda library: leaf(library)[0].__imul__(2),
        lambda library: (leaf(library) * 1)[0].detach_(),
        lambda library: bool(leaf(library)),
        lambda library: len(library.tensor(1.0)),
        lambda library: leaf(library).item(),
        lambda library: copy.deepcopy(leaf(library) * 2),
    ],
)
def test_mistakes_raise_pytorchs_errors(wrong):
    assert_alike(wrong)


def test_a_second_backward_needs_the_graph_to_be_retained():
    def program(library):
        w = leaf(library)
        freed = (w * w).sum()
        freed.backward()
        again = caught(freed.backward)
        kept = (w * w).sum()
        kept.backward(retain_graph=True)
        kept.backward()
        nothing_saved = (w + 1).sum()
        nothing_saved.backward()
        nothing_saved.backward()
        return again, w.grad

    assert_alike(program)


def test_the_error_of_a_second_backward_names_the_line_of_the_op():
    w = leaf(gradviz)
    loss = (w * w).sum()
    loss.backward()
    with pytest.raises(RuntimeError) as raised:
        loss.backward()
    assert raised.value.__notes__ == ["gradviz: `mul` at tests/test_backward.py:92: loss = (w * w).sum()"]


def test_a_saved_tensor_that_was_written_is_named():
    def intermediate(library):
        w = leaf(library)
        h = w.exp()
        loss = (h * h).sum()
        h += 1
        return caught(loss.backward)

    def leaf_written(library):
        w = leaf(library)
        loss = (w * w).sum()
        with library.no_grad():
            w += 1
        return caught(loss.backward)

    def constant(library):
        c = library.tensor([3.0, 4.0])
        loss = (leaf(library) * c).sum()
        c.zero_()
        return caught(loss.backward)

    def through_detach(library):
        w = leaf(library)
        out = w.exp()
        out.detach().zero_()
        return caught(out.sum().backward)

    def through_data_unseen(library):
        w = leaf(library)
        out = w.exp()
        out.data.zero_()
        out.sum().backward()
        return w.grad, out._version

    for program in (intermediate, leaf_written, constant, through_detach, through_data_unseen):
        assert_alike(program)


def test_inputs_restrict_what_is_fed():
    def program(library):
        w, b = leaf(library), leaf(library, 3.0, 4.0)
        h = w * b
        (h * h).sum().backward(inputs=[b])
        return w.grad, b.grad

    assert_alike(program)


def test_autograd_grad_leaves_grad_alone_and_says_what_is_unused():
    def program(library):
        w, b = leaf(library), leaf(library, 3.0, 4.0)
        h = w * b
        grads = library.autograd.grad((h * 2).sum(), [w, h], retain_graph=True)
        unused = caught(lambda: library.autograd.grad(h.sum(), [w, leaf(library)], retain_graph=True))
        allowed = library.autograd.grad(h.sum(), [w, leaf(library)], allow_unused=True)
        return grads, unused, allowed, w.grad

    assert_alike(program)


def test_several_roots_with_their_cotangents():
    def program(library):
        w = leaf(library)
        library.autograd.backward([(w * 2).sum(), w * w], [None, library.tensor([1.0, 1.0])])
        return w.grad

    assert_alike(program)


def test_hooks_run_in_pytorchs_order_and_may_replace_the_gradient():
    def program(library):
        w = leaf(library)
        order = []
        h = w * 2
        h.retain_grad()

        def doubled(name, factor=1):
            def hook(gradient):
                order.append((name, gradient.tolist()))
                return gradient * factor if factor != 1 else None

            return hook

        w.register_hook(doubled("leaf"))
        h.register_hook(doubled("h1", 10))
        handle = h.register_hook(doubled("removed"))
        h.register_hook(doubled("h2"))
        w.register_post_accumulate_grad_hook(lambda tensor: order.append(("after", tensor.grad.tolist())))
        handle.remove()
        (h * h).sum().backward()
        return order, w.grad, h.grad

    assert_alike(program)


def test_the_grad_of_a_non_leaf_is_none_with_a_warning():
    def program(library):
        w = leaf(library)
        h = w * 2
        h.sum().backward()
        return h.grad

    assert_alike(program)


def test_converting_a_tensor_that_requires_grad_warns():
    def program(library):
        w = library.tensor(2.0, requires_grad=True)
        return float(w), w.item(), int(library.tensor(3.7)), bool(library.tensor(0.0))

    assert_alike(program)


def test_detach_shares_memory_and_version_and_data_shares_memory_only():
    def program(library):
        h = leaf(library) * 1
        loose, raw = h.detach(), h.data
        loose += 1
        seen = h._version, loose._version, raw._version
        raw += 1
        return seen, (h._version, raw._version), h, loose

    assert_alike(program)


def test_detach_in_place_makes_a_leaf():
    def program(library):
        h = leaf(library) * 1
        same = h.detach_()
        return h, same is h

    assert_alike(program)


def test_next_functions_lead_back_to_the_leaves():
    def program(library):
        w = leaf(library)
        c = library.tensor([1.0, 1.0])
        y = (w * 2 + c).sum()
        names, node = [], y.grad_fn
        while node is not None:
            names.append((node.name(), [(f.name() if f else None, n) for f, n in node.next_functions]))
            node = node.next_functions[0][0] if node.next_functions else None
        add = y.grad_fn.next_functions[0][0]
        accumulator = add.next_functions[0][0].next_functions[0][0]
        return names, type(y.grad_fn).__name__, accumulator.variable is w

    assert_alike(program)


def test_a_leaf_has_one_accumulator():
    w = leaf(gradviz)
    first, second = (w * 2).grad_fn.next_functions[0][0], (w * 3).grad_fn.next_functions[0][0]
    assert first is second


def test_requires_grad_is_what_it_was_when_the_op_ran():
    def program(library):
        w, b = leaf(library), leaf(library, 3.0, 4.0)
        w.requires_grad_(False)
        frozen = (w * b).sum()
        w.requires_grad_(True)
        frozen.backward()
        return w.grad, b.grad

    assert_alike(program)


def test_gradients_keep_the_dtype_and_shape_of_their_leaf():
    def program(library):
        w = library.tensor([[1.0], [2.0]], requires_grad=True, dtype=library.float64)
        s = library.tensor(3.0, requires_grad=True)
        (w * s * library.tensor([1.0, 2.0, 3.0])).sum().backward()
        return w.grad, s.grad, list(w.grad.shape), list(s.grad.shape)

    assert_alike(program)


def test_assigning_grad_is_checked():
    def program(library):
        w = leaf(library)
        w.grad = library.tensor([5.0, 5.0])
        (w * 2).sum().backward()
        return w.grad, caught(lambda: setattr(w, "grad", library.tensor([1.0])))

    assert_alike(program)


def test_leaves_pickle_and_copy_with_their_state():
    def program(library):
        w = leaf(library)
        (w * 2).sum().backward()
        twin, thawed = copy.deepcopy(w), pickle.loads(pickle.dumps(w))
        return twin, twin.grad, thawed, twin is w

    assert_alike(program)
