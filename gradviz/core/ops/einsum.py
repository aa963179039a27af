"""`einsum`: a sum of products named by letters, composed of permutations, `bmm`, products and sums.

Every operand is first given the same dimensions in the same order, those of the result before those that are summed.
Then operands are taken in from left to right; a dimension is summed as soon as no later operand has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gradviz.core.apply import apply
from gradviz.core.composites import whole
from gradviz.core.ops.arithmetic import MUL
from gradviz.core.ops.linear import bmm
from gradviz.core.ops.shaping import permute, reshape, unsqueeze, view
from gradviz.core.ops.triangles import diagonal
from gradviz.core.public import function
from gradviz.core.tensor import Tensor

ELLIPSIS = "."


@function
@whole
def einsum(equation: str, *operands: Any) -> Tensor:
    """The sum over all letters that `equation` (`ij,jk->ik`) has left of the arrow only of the operands' product.

    Without an arrow, the result has the letters that occur once, in alphabetical order. `...` stands for dimensions
    that are broadcast. Raises RuntimeError where letters and operands do not fit.
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    terms, result = _parsed(equation, operands)
    spread = max(
        (operand.ndim - len(term) + 1 for term, operand in zip(terms, operands, strict=True) if ELLIPSIS in term),
        default=0,
    )
    letters = [*_expanded(result, spread, spread)]
    kept = len(letters)
    letters += [letter for letter in sorted(set("".join(terms)) - set(result)) if letter != ELLIPSIS]
    if ELLIPSIS not in result:
        letters += [f"{ELLIPSIS}{number}" for number in range(spread)]
    aligned = [
        _aligned(operand, _expanded(term, operand.ndim - len(term) + 1, spread), letters)
        for term, operand in zip(terms, operands, strict=True)
    ]
    _check_sizes(terms, operands)
    return _contracted(aligned, kept)


def _parsed(equation: str, operands: Sequence[Any]) -> tuple[list[str], str]:
    """The operands' letters and the result's, an ellipsis as one dot."""
    left, arrow, right = equation.replace(" ", "").replace("...", ELLIPSIS).partition("->")
    terms = left.split(",")
    if len(terms) > len(operands):
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(terms) < len(operands):
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    for position, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        for letter in term:
            if not (letter.isalpha() or letter == ELLIPSIS):
                raise RuntimeError(
                    f"einsum(): invalid subscript given at index {left.index(letter)} in the equation string, "
                    "subscripts must be in [a-zA-Z]"
                )
        named = len(term.replace(ELLIPSIS, ""))
        if ELLIPSIS not in term and named != operand.ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of dimensions "
                f"({operand.ndim}) for operand {position} and no ellipsis was given"
            )
        if named > operand.ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({named}) is more than the number of dimensions "
                f"({operand.ndim}) for operand {position}"
            )
    if not arrow:
        every = "".join(terms)
        right = (ELLIPSIS if ELLIPSIS in every else "") + "".join(
            letter for letter in sorted(set(every)) if letter != ELLIPSIS and every.count(letter) == 1
        )
    for letter in right:
        if letter != ELLIPSIS and letter not in left:
            raise RuntimeError(
                f"einsum(): output subscript {letter} does not appear in the equation for any input operand"
            )
        if right.count(letter) > 1:
            raise RuntimeError(f"einsum(): output subscript {letter} appears more than once in the output")
    return terms, right


def _expanded(term: str, own: int, spread: int) -> list[str]:
    """The names of a term's dimensions, those of its ellipsis (`own` of at most `spread`) counted from the right."""
    names: list[str] = []
    for letter in term:
        names += [f"{ELLIPSIS}{number}" for number in range(spread - own, spread)] if letter == ELLIPSIS else [letter]
    return names


def _check_sizes(terms: Sequence[str], operands: Sequence[Tensor]) -> None:
    seen: dict[str, int] = {}
    for position, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        if ELLIPSIS in term:
            continue
        for letter, size in zip(term, operand.shape, strict=True):
            known = seen.get(letter, 1)
            if known != size and 1 not in (known, size):
                raise RuntimeError(
                    f"einsum(): subscript {letter} has size {size} for operand {position} which does not broadcast "
                    f"with previously seen size {known}"
                )
            seen[letter] = max(known, size)


def _aligned(operand: Tensor, names: list[str], letters: Sequence[str]) -> Tensor:
    """The operand with a dimension for each of `letters`, in their order; a repeated letter is a diagonal."""
    for name in sorted(set(names), key=names.index):
        while names.count(name) > 1:
            first = names.index(name)
            second = names.index(name, first + 1)
            if operand.shape[first] != operand.shape[second]:
                raise RuntimeError(
                    f"einsum(): subscript {name} is repeated for operand 0 but the sizes don't match, "
                    f"{operand.shape[second]} != {operand.shape[first]}"
                )
            operand = diagonal(operand, 0, first, second)
            names = [other for place, other in enumerate(names) if place not in (first, second)] + [name]
            order = list(range(operand.ndim - 1))
            order.insert(first, operand.ndim - 1)
            operand = permute(operand, order)
            names = [names[place] for place in order]
    for letter in letters:
        if letter not in names:
            operand = unsqueeze(operand, operand.ndim)
            names = [*names, letter]
    return permute(operand, [names.index(letter) for letter in letters])


def _contracted(operands: list[Tensor], kept: int) -> Tensor:
    """Multiply from left to right; sum a dimension after `kept` where the last operand that is longer than 1 is met."""
    total = operands[0]
    ndim = total.ndim
    if len(operands) == 1:
        return total.sum(tuple(range(kept, ndim))) if ndim > kept else total
    last = [
        max((position for position, operand in enumerate(operands) if operand.shape[dim] != 1), default=0)
        for dim in range(ndim)
    ]
    gone = [dim for dim in range(kept, ndim) if last[dim] == 0]
    if gone:
        total = total.sum(tuple(gone), keepdim=True)
    for position, operand in enumerate(operands[1:], 1):
        both: list[int] = []
        alone: list[int] = []
        for dim in range(kept, ndim):
            if last[dim] == position:
                (both if total.shape[dim] != 1 else alone).append(dim)
        if alone:
            operand = operand.sum(tuple(alone), keepdim=True)
        total = _product(total, operand, both)
    return view(total, total.shape[:kept]) if ndim > kept else total


def _product(left: Tensor, right: Tensor, summed: list[int]) -> Tensor:
    """left * right, summed over dimensions that both have; these stay, with length 1."""
    if not summed:
        return apply(MUL, (left, right))
    shared: list[int] = []
    lefts: list[int] = []
    rights: list[int] = []
    for dim in range(left.ndim):
        if dim not in summed:
            mine, yours = left.shape[dim] != 1, right.shape[dim] != 1
            (shared if mine and yours else lefts if mine else rights).append(dim)
    lengths = [[left.shape[dim] for dim in dims] for dims in (shared, lefts, summed)]
    columns = [right.shape[dim] for dim in rights]
    batch, rows, inner = map(math.prod, lengths)
    a = reshape(permute(left, [*shared, *lefts, *summed, *rights]), (batch, rows, inner))
    b = reshape(permute(right, [*shared, *summed, *rights, *lefts]), (batch, inner, math.prod(columns)))
    out = view(bmm(a, b), (*lengths[0], *lengths[1], *(1 for _ in summed), *columns))
    order = [*shared, *lefts, *summed, *rights]
    return permute(out, [order.index(dim) for dim in range(left.ndim)])
