"""What `casting` allows is what numpy's own can_cast allows, where numpy's answer means something."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
import pytest

import interop
from interop._dtypes import _NUMPY_NATIVE, COMPLEX, INT, ROWS, UINT, Row, castable, dtype_of_triple

RULES: Final = ("no", "equiv", "safe", "same_kind", "unsafe")
NATIVE: Final = frozenset(name for name, _, _ in _NUMPY_NATIVE)
HELD: Final = [row for row in ROWS if row.numpy is not None]
NUMPYS: Final = [row for row in HELD if row.name in NATIVE]
SMALL: Final = [row for row in HELD if row.name not in NATIVE]


def allows(source: Row, target: Row, rule: str) -> bool:
    one, other = (dtype_of_triple(row.code, row.bits, row.lanes) for row in (source, target))
    return castable(one, other, rule)


def numpy_allows(source: Row, target: Row, rule: Any) -> bool:
    assert source.numpy is not None
    assert target.numpy is not None
    return bool(np.can_cast(source.numpy, target.numpy, rule))


def drops_the_imaginary_part(source: Row, target: Row) -> bool:
    return source.code == COMPLEX and target.code != COMPLEX


def test_there_are_that_many() -> None:
    assert len(NUMPYS) == 14
    assert len(SMALL) > 10


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("source", NUMPYS, ids=lambda row: row.name)
def test_between_numpys_own_types_it_is_numpys_answer_but_for_complex_to_real(source: Row, rule: str) -> None:
    for target in NUMPYS:
        wanted = numpy_allows(source, target, rule) and not drops_the_imaginary_part(source, target)
        assert allows(source, target, rule) == wanted, target.name


@pytest.mark.parametrize("rule", ["no", "equiv"])
@pytest.mark.parametrize("source", HELD, ids=lambda row: row.name)
def test_of_ml_dtypes_too_the_strictest_rules_are_numpys(source: Row, rule: str) -> None:
    for target in HELD:
        assert allows(source, target, rule) == numpy_allows(source, target, rule), target.name


def values(row: Row) -> list[float]:
    """Every value that a type of at most 16 bits has, by Python's own numbers."""
    assert row.numpy is not None
    count = 2 if row.name == "bool" else 1 << row.bits
    array: Any = np.arange(count).astype(f"u{max(row.bits, 8) // 8}").view(row.numpy)
    return [float(value) for value in array]


def written(number: float) -> str:
    """Zeros by their signs, and every NaN the same."""
    return repr(number)


HELD_BY: Final = {row.name: {written(value) for value in values(row)} for row in HELD if row.bits <= 16}


@pytest.mark.parametrize("source", SMALL, ids=lambda row: row.name)
def test_of_ml_dtypes_safe_means_that_every_value_is_held(source: Row) -> None:
    """numpy calls int8 to float4_e2m1fn safe, and no float8 to float16."""
    for target in (row for row in HELD if row.bits <= 16):
        # An integer's only zero is positive.
        for one, other in ((source, target), (target, source)):
            assert allows(one, other, "safe") == (HELD_BY[one.name] <= HELD_BY[other.name]), (one.name, other.name)
    for wide in (row for row in HELD if row.bits > 16):
        assert not allows(wide, source, "safe")
        assert allows(source, wide, "safe") == (wide.code not in (INT, UINT) or is_integer_in(source, wide))


def is_integer_in(source: Row, wide: Row) -> bool:
    return source.code in (INT, UINT) and (source.code == UINT or wide.code == INT)


@pytest.mark.parametrize(
    ("source", "target"),
    [("complex32", "complex64"), ("complex32", "complex128"), ("complex64", "complex128")],
)
def test_a_complex_number_is_held_by_a_wider_one(source: str, target: str) -> None:
    assert castable(interop.DType(source), interop.DType(target), "safe")
    assert not castable(interop.DType(target), interop.DType(source), "safe")


def is_numpys_own_guess(source: Row, target: Row) -> bool:
    """Where numpy, asked of "same_kind", doesn't know what kind of number a type of ml_dtypes is.

    It lets floats become integers of four bits, and signed ones unsigned; and it lets no small float become float16,
    though all become float32.
    """
    packed = target.code in (INT, UINT) and target.bits < 8
    return packed or (source.name not in NATIVE and target.name == "float16" and source.code not in (INT, UINT))


@pytest.mark.parametrize("source", HELD, ids=lambda row: row.name)
def test_between_numpys_types_and_those_of_ml_dtypes_same_kind_is_numpys_answer(source: Row) -> None:
    for target in HELD:
        if (source in NUMPYS) == (target in NUMPYS) or is_numpys_own_guess(source, target):
            continue
        wanted = numpy_allows(source, target, "same_kind") and not drops_the_imaginary_part(source, target)
        assert allows(source, target, "same_kind") == wanted, target.name


def kind(row: Row) -> int:
    """bool, unsigned, signed, float, complex: by name, not by the library's own table."""
    name = row.name.removeprefix("b") if row.name == "bfloat16" else row.name
    return [name.startswith(word) for word in ("bool", "uint", "int", "float", "complex")].index(True)


@pytest.mark.parametrize("source", ROWS, ids=lambda row: row.name)
def test_same_kind_never_goes_back_in_the_order_of_kinds(source: Row) -> None:
    for target in ROWS:
        assert allows(source, target, "same_kind") == (kind(source) <= kind(target)), target.name
        assert allows(source, target, "unsafe") == (not drops_the_imaginary_part(source, target)), target.name


@pytest.mark.parametrize("source", ROWS, ids=lambda row: row.name)
def test_what_a_rule_allows_every_looser_one_allows(source: Row) -> None:
    for target in ROWS:
        allowed = [allows(source, target, rule) for rule in RULES]
        assert allowed == sorted(allowed), (target.name, allowed)


@pytest.mark.parametrize("rule", RULES)
def test_copyto_keeps_to_it(rule: Any) -> None:
    for source, target in product(NUMPYS, NUMPYS):
        dst, src = np.zeros(2, target.numpy), np.ones(2, source.numpy)
        if allows(source, target, rule):
            interop.copyto(dst, src, casting=rule)
            assert dst.tolist() == [1, 1]
        else:
            with pytest.raises(interop.DTypeError, match=f"casting='{rule}' forbids {source.name} to {target.name}"):
                interop.copyto(dst, src, casting=rule)
