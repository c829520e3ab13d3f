"""copyto writes through the destination's own framework, and refuses before it writes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import interop
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays, torch_tensors

LAYOUTS = st.one_of(numpy_arrays(), torch_tensors())


@given(src=LAYOUTS, to=st.sampled_from(["numpy", "torch"]), order=st.sampled_from(["C", "F"]))
def test_what_is_written_is_what_was_read(src: Any, to: str, order: Any) -> None:
    plan = interop.explain(src, to, copy=True, order=order)
    assume(plan.ok)
    dst = interop.convert(src, to, copy=True, order=order)
    if to == "numpy":
        dst.fill(1)
    else:
        # By bytes where it can be: torch before 2.5 fills no float8.
        (dst.view(torch.uint8) if dst.dtype.itemsize == 1 else dst).fill_(1)
    pointer = interop.view(dst).ptr
    interop.copyto(dst, src)
    assert interop.view(dst).ptr == pointer
    assert_identical(dst, src)


def test_torch_counts_the_version_and_records_the_graph() -> None:
    t = torch.zeros(3)
    version = t._version
    interop.copyto(t, np.arange(3.0, dtype="f4"))
    assert t._version > version
    w = torch.ones(3, requires_grad=True)
    saved = w * 2
    squared = saved * saved
    interop.copyto(saved.detach(), np.full(3, 10, "f4"))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.sum().backward()
    x = torch.ones(3, requires_grad=True)
    y = torch.zeros(3)
    interop.copyto(y, x)
    y.sum().backward()
    assert x.grad is not None


def test_broadcasting_and_casting() -> None:
    a = np.zeros((2, 3))
    interop.copyto(a, torch.arange(3))
    assert a.tolist() == [[0, 1, 2]] * 2
    with pytest.raises(interop.DTypeError, match="casting='unsafe'"):
        interop.copyto(np.zeros(3, "i4"), torch.ones(3))
    interop.copyto(np.zeros(3, "i4"), torch.ones(3), casting="unsafe")
    with pytest.raises(interop.DTypeError):
        interop.copyto(np.zeros(3, "f4"), np.zeros(3, "f8"), casting="safe")
    with pytest.raises(interop.DTypeError):
        interop.copyto(np.zeros(3, "f4"), np.zeros(3, "c8"), casting="unsafe")
    with pytest.raises(interop.UnsupportedError, match="casting"):
        interop.copyto(np.zeros(3), np.zeros(3), casting="loose")  # type: ignore[arg-type]
    with pytest.raises(interop.CopyError, match="broadcast"):
        interop.copyto(np.zeros(3), np.zeros(4))
    with pytest.raises(interop.CopyError, match="broadcast"):
        interop.copyto(np.zeros(3), np.zeros((2, 3)))
    b = torch.zeros(3, dtype=torch.bfloat16)
    interop.copyto(b, np.arange(3).astype(ml_dtypes.bfloat16))
    assert b.tolist() == [0, 1, 2]
    interop.copyto(b, np.arange(3).astype(ml_dtypes.float8_e4m3fn))
    interop.copyto(b, np.arange(3).astype(ml_dtypes.int4))
    assert b.tolist() == [0, 1, 2]


@pytest.mark.parametrize("rule", ["no", "equiv", "safe", "same_kind", "unsafe"])
def test_each_casting_rule_allows_the_same_type(rule: Any) -> None:
    a = np.zeros(2)
    interop.copyto(a, torch.ones(2, dtype=torch.float64), casting=rule)
    assert a.tolist() == [1, 1]


def test_readonly_and_gradients_are_refused() -> None:
    a = np.zeros(2)
    a.flags.writeable = False
    for dst in (a, b"ab", interop.view(a)):
        with pytest.raises(interop.ReadOnlyError, match="Write into a copy"):
            interop.copyto(dst, np.ones(2, interop.dtype(dst).numpy))
    leaf = torch.zeros(2, requires_grad=True)
    with pytest.raises(interop.GradientError, match="detach"):
        interop.copyto(leaf, np.ones(2, "f4"))
    with pytest.raises(interop.GradientError):
        interop.copyto(np.zeros(2, "f4"), leaf)
    expanded = torch.zeros(1).expand(3)
    with pytest.raises(interop.UnsupportedError):
        interop.copyto(expanded, np.ones(3, "f4"))
    for nothing in ([1, 2], None):
        with pytest.raises(interop.UnsupportedError):
            interop.copyto(np.zeros(2), nothing)
        with pytest.raises(interop.UnsupportedError):
            interop.copyto(nothing, np.zeros(2))


def test_protocol_only_destinations_are_written_in_place() -> None:
    memory = bytearray(4)
    interop.copyto(memory, torch.arange(4, dtype=torch.uint8))
    assert memory == bytes(range(4))
    a = np.zeros(3)
    interop.copyto(interop.view(a), torch.ones(3))
    assert a.tolist() == [1, 1, 1]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_overlap_is_read_before_it_is_written(framework: str) -> None:
    a = np.arange(8.0)
    dst = interop.convert(a[1:], framework)
    interop.copyto(dst, a[:-1])
    assert a.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    b = np.arange(4.0)
    interop.copyto(interop.convert(b, framework), b[::-1])
    assert b.tolist() == [3, 2, 1, 0]


def test_the_first_error_of_several_wins() -> None:
    """In the order of errors.PRECEDENCE, whatever else is wrong; each is mended, and the next one comes."""
    readonly = np.zeros(3, "i4")
    readonly.flags.writeable = False
    source: Any = torch.ones(4, requires_grad=True)
    with pytest.raises(interop.GradientError):
        interop.copyto(readonly, source)
    with pytest.raises(interop.DTypeError):
        interop.copyto(readonly, source.detach())
    with pytest.raises(interop.ReadOnlyError):
        interop.copyto(readonly, source.detach(), casting="unsafe")
    with pytest.raises(interop.CopyError, match="broadcast"):
        interop.copyto(readonly.copy(), source.detach(), casting="unsafe")


def test_a_tensor_of_inference_mode_is_written_inside_of_it_only() -> None:
    """torch itself writes, and then refuses."""
    with torch.inference_mode():
        t = torch.zeros(3)
    with pytest.raises(interop.UnsupportedError, match=r"inside of torch\.inference_mode"):
        interop.copyto(t, np.ones(3, "f4"))
    assert t.tolist() == [0, 0, 0]
    with torch.inference_mode():
        interop.copyto(t, np.ones(3, "f4"))
        assert interop.to_torch(t, copy=True).tolist() == [1, 1, 1]
    assert t.tolist() == [1, 1, 1]


@pytest.mark.parametrize("rule", ["wrong", "", "SAFE", None])
def test_what_is_no_rule_is_refused_each_time(rule: Any) -> None:
    for dst, src in ((np.zeros(3), np.ones(3)), (torch.zeros(3), torch.ones(3)), (np.zeros(3), torch.ones(3))):
        interop.copyto(dst, src, casting="unsafe")
        for _ in range(3):
            with pytest.raises(interop.UnsupportedError, match="casting"):
                interop.copyto(dst, src, casting=rule)
