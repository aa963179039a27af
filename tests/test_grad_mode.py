"""Grad modes: every way to switch them, alone and nested, in threads, generators and on exceptions, as PyTorch does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alike import assert_alike

import gradviz


def leaf(library):
    return library.tensor([1.0, 2.0], requires_grad=True)


def modes(library):
    return library.is_grad_enabled(), library.is_inference_mode_enabled()


def test_results_under_no_grad_are_leaves_without_grad():
    def program(library):
        w = leaf(library)
        with library.no_grad():
            inside = w * 3
            nested = modes(library)
        return inside, nested, w * 3, modes(library)

    assert_alike(program)


@pytest.mark.parametrize("switch", ["no_grad", "enable_grad", "inference_mode"])
def test_a_switch_works_bare_called_and_as_a_context(switch):
    def program(library):
        make = getattr(library, switch)
        w = leaf(library)

        @make()
        def called(x):
            "doc"
            return x * 2, modes(library)

        def plain(x):
            return x * 2, modes(library)

        bare = make(plain)
        with make():
            within = (w * 2).requires_grad, modes(library)
        first = called(w)
        return first[0].requires_grad, first[1], bare(w)[0].requires_grad, within, called.__name__, called.__doc__

    assert_alike(program)


def test_enable_grad_inside_no_grad_and_inside_inference_mode():
    def program(library):
        w = leaf(library)
        with library.no_grad():
            with library.enable_grad():
                tracked = w * 2
            after = w * 2
        with library.inference_mode(), library.enable_grad():
            state = modes(library)
            untracked = (w * 2).requires_grad
        return tracked, after, state, untracked

    assert_alike(program)


def test_set_grad_enabled_as_function_context_and_decorator():
    def program(library):
        w = leaf(library)
        library.set_grad_enabled(False)
        off = w * 2
        with library.set_grad_enabled(True):
            on = w * 2
        still_off = w * 2
        library.set_grad_enabled(True)
        again = w * 2

        @library.set_grad_enabled(False)
        def decorated(x):
            return x * 2

        between = modes(library)
        return off, on, still_off, again, decorated(w), between, modes(library)

    assert_alike(program)


def test_inference_mode_can_be_left_by_inference_mode_false():
    def program(library):
        w = leaf(library)
        with library.inference_mode():
            with library.inference_mode(False):
                inner = w * 2
            made = library.tensor([3.0, 4.0])
        plus = made + w
        return inner, made.is_inference(), plus, modes(library)

    assert_alike(program)


def test_inference_tensors_cannot_be_saved_and_have_no_version():
    def saved(library):
        with library.inference_mode():
            made = library.tensor([3.0, 4.0])
        return made * leaf(library)

    def version(library):
        with library.inference_mode():
            made = library.tensor([3.0, 4.0])
        return made._version

    assert_alike(saved)
    assert_alike(version)


def test_an_exception_restores_the_mode():
    def program(library):
        try:
            with library.no_grad():
                raise ValueError("stop")
        except ValueError:
            pass
        return modes(library)

    assert_alike(program)


def test_one_instance_can_be_used_again_and_nested_in_itself_leaves_grad_off():
    def again(library):
        switch = library.no_grad()
        seen = []
        for _ in range(2):
            with switch:
                seen.append(modes(library))
            seen.append(modes(library))
        return seen

    def nested(library):
        switch = library.no_grad()
        with switch, switch:
            pass
        left = modes(library)
        library.set_grad_enabled(True)
        return left, modes(library)

    assert_alike(again)
    assert_alike(nested)


def test_a_decorated_generator_holds_the_mode_only_while_it_runs():
    def program(library):
        seen = []

        @library.no_grad()
        def numbers():
            try:
                received = yield modes(library)
                seen.append((received, modes(library)))
                try:
                    yield modes(library)
                except KeyError:
                    seen.append(("thrown", modes(library)))
                yield modes(library)
            finally:
                seen.append(("closed", modes(library)))

        generator = numbers()
        yielded = [next(generator)]
        seen.append(modes(library))
        yielded.append(generator.send("sent"))
        seen.append(modes(library))
        yielded.append(generator.throw(KeyError()))
        seen.append(modes(library))
        generator.close()
        return yielded, seen, modes(library)

    assert_alike(program)


def test_a_decorated_generator_gives_its_return_value():
    @gradviz.no_grad()
    def inner():
        yield 1
        return 2

    def outer():
        got = yield from inner()
        yield got

    assert list(outer()) == [1, 2]


def test_a_with_inside_a_plain_generator_leaks_to_the_caller_between_yields():
    def program(library):
        def numbers():
            with library.no_grad():
                yield 1
                yield 2

        seen = []
        for _ in numbers():
            seen.append(modes(library))
        return seen, modes(library)

    assert_alike(program)


def test_new_threads_and_pools_start_with_grad_enabled():
    def program(library):
        w = leaf(library)
        results = []
        with library.no_grad():
            thread = threading.Thread(target=lambda: results.append((w * 2).requires_grad))
            thread.start()
            thread.join()
            with ThreadPoolExecutor(1) as pool:
                results.append(pool.submit(lambda: (w * 2).requires_grad).result())
            results.append((w * 2).requires_grad)
        return results

    assert_alike(program)


def test_what_still_requires_grad_under_no_grad():
    def program(library):
        base = leaf(library)
        with library.no_grad():
            made = library.tensor([1.0], requires_grad=True)
            asked = library.tensor([1.0]).requires_grad_()
            like = library.zeros_like(base)
            view = base[0]
        return made, asked, like, view.requires_grad, view.is_leaf, view.grad_fn is None

    assert_alike(program)


def test_a_view_made_under_no_grad_leaves_both_grads_none():
    def program(library):
        base = leaf(library)
        with library.no_grad():
            view = base[0]
        (view * 3).backward()
        return base.grad, view.grad

    assert_alike(program)


def test_backward_works_inside_no_grad():
    def program(library):
        w = leaf(library)
        loss = (w * w).sum()
        with library.no_grad():
            loss.backward()
        return w.grad

    assert_alike(program)


def test_a_class_cannot_be_decorated():
    with pytest.raises(TypeError, match="cannot decorate a class"):
        gradviz.no_grad()(type("Model", (), {}))
