"""The rows of framework-agnostic code: decorated functions, and containers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks.rows import NUMPY, TORCH, Comparison, Source, Way

_TREE: Final = Source("d", "a dict of 1,000 torch tensors 3x4, new", "tensors()", fresh=True)
_LOCKED: Final = replace(_TREE, text="a dict of 1,000 torch tensors 3x4, locked already", code="locked_tensors()")

_BY_HAND: Final = (Way("{name: each.numpy() for name, each in d.items()}", shares=None),)

AGNOSTIC_COMPARISONS: Final = (
    Comparison("via to its own", NUMPY, Way("added(a, a)", shares=False), (Way("add(a, a)", shares=False),)),
    Comparison(
        "via to numpy and back",
        TORCH,
        Way("negated(t)", shares=False),
        (Way("torch.from_numpy(np.negative(t.numpy()))", shares=False),),
    ),
    Comparison("tree to numpy", _TREE, Way("convert_tree(d, 'numpy')", shares=None), _BY_HAND),
    Comparison("locked tree to numpy", _LOCKED, Way("convert_tree(d, 'numpy')", shares=None), _BY_HAND),
)
