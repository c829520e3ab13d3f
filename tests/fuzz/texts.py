"""Pieces of programs: shapes, element types and values, as text and by chance."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from random import Random
from typing import Final, TypeVar

import ml_dtypes

T = TypeVar("T")

Shape = tuple[int, ...]

SHAPES: Final[tuple[Shape, ...]] = (
    *((), (1,), (3,), (6,), (7,), (64,)),
    *((2, 3), (3, 2), (1, 4), (4, 1), (1, 1), (5, 5)),
    *((2, 3, 4), (1, 3, 1), (4, 1, 2), (2, 2, 2, 2)),
    *((0,), (0, 3), (3, 0), (2, 0, 2)),
)

#: The element types that numpy and torch have in common, by name; then those of either alone.
REAL: Final = (
    "float32",
    "float64",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)
COMMON: Final = (*REAL, "bool", "complex64", "complex128")
SMALL: Final = tuple(
    name
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
    if hasattr(ml_dtypes, name)
)
#: Of which ml_dtypes keeps each in a byte.
PACKED: Final = tuple(
    name
    for name in ("int4", "uint4", "int2", "uint2", "float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e3m4")
    if hasattr(ml_dtypes, name)
)

SIZES: Final = {
    **{name: int("".join(filter(str.isdigit, name))) // 8 for name in (*REAL, "complex64", "complex128")},
    "bool": 1,
    "bfloat16": 2,
    **dict.fromkeys((name for name in (*SMALL, *PACKED) if name != "bfloat16"), 1),
}

#: The bits that count, of those that don't fill their byte.
MASKS: Final = {
    "int4": 15,
    "uint4": 15,
    "int2": 3,
    "uint2": 3,
    "float4_e2m1fn": 15,
    "float6_e2m3fn": 63,
    "float6_e3m2fn": 63,
}


def shape(random: Random, *, least: int = 0) -> Shape:
    """A shape of at least so many axes."""
    while True:
        found = random.choice(SHAPES)
        if len(found) >= least:
            return found


def dtype(random: Random) -> str:
    """The name of an element type, one in four of them a small one."""
    return random.choice(SMALL if random.random() < 0.25 else COMMON)


def ways(*weighted: tuple[int, T]) -> tuple[Sequence[T], Sequence[int]]:
    """Choices and their weights, as `pick` takes them."""
    return [what for _, what in weighted], [weight for weight, _ in weighted]


def pick(random: Random, choices: tuple[Sequence[T], Sequence[int]]) -> T:
    return random.choices(choices[0], choices[1])[0]


def bits(random: Random, name: str, count: int) -> str:
    """An expression for that many elements of any bits, as writable bytes of numpy's."""
    text = f"np.frombuffer(bytearray(np.random.default_rng({random.randrange(9)}).bytes({count * SIZES[name]})), 'u1')"
    mask = 1 if name == "bool" else MASKS.get(name)
    return text if mask is None else f"({text} & {mask})"


def size(of: Shape) -> int:
    return prod(of)
