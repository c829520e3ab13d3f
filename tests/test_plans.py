"""A plan that was made before is the plan that would be made now."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop import _options
from interop._plan.made import plan_of
from interop._plan.plan import make_plan
from interop._registry.lookup import adapter_for, describe
from interop._registry.targets import target_adapter
from interop._run.opening import case_of
from interop.testing.strategies import numpy_arrays

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "int64", "bfloat16"]),
        "order": st.sampled_from(["C", "F"]),
        "copy": st.booleans(),
        "writable": st.booleans(),
        "detach": st.booleans(),
        "device": st.just("cpu"),
    },
)


def case(x: Any, to: str, **options: Any) -> Any:
    source = adapter_for(x)
    return case_of(describe(source, x), source, target_adapter(to), _options.parse(**options))


@given(a=numpy_arrays(), to=st.sampled_from(["numpy", "torch"]), options=OPTIONS, as_torch=st.booleans())
def test_a_plan_made_before_is_the_one_made_now(
    a: np.ndarray[Any, Any], to: str, options: dict[str, Any], as_torch: bool
) -> None:
    x: Any = a
    if as_torch:
        try:
            x = interop.to_torch(a)
        except interop.InteropError:
            return
    one = case(x, to, **options)
    fresh, kept = make_plan(one), plan_of(one)
    assert str(fresh) == str(kept)
    if fresh.ok:
        assert fresh == kept
        assert plan_of(case(x, to, **options)) is kept
    else:
        assert kept.error is not plan_of(one).error


def test_what_changes_a_plan_is_seen() -> None:
    """Each differs from the first in one thing, and has a plan of its own."""
    base = np.zeros((4, 6), "float32")
    readonly = base.copy()
    readonly.flags.writeable = False
    odd = np.zeros(4 * 24 + 1, "uint8")[1:].view("float32").reshape(4, 6)
    graph = torch.zeros(4, 6, requires_grad=True)
    others: list[tuple[Any, dict[str, Any]]] = [
        (base.T.copy().T, {}),
        (base[:2], {}),
        (base.astype("int32"), {}),
        (readonly, {}),
        (odd, {}),
        (base, {"copy": True}),
        (base, {"dtype": "float64"}),
        (base.T.copy().T, {"order": "C"}),
        (readonly, {"writable": False}),
        (graph, {"detach": True}),
    ]
    for x, options in ((base, {}), *others, *reversed(others)):
        to = "numpy" if x is graph else "torch"
        assert plan_of(case(x, to, **options)) == make_plan(case(x, to, **options))
