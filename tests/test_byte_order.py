"""The byte order that a dtype names: honoured by numpy as a target, an error elsewhere."""

from __future__ import annotations

import re
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import interop

OTHER, OWN = (">", "<") if sys.byteorder == "little" else ("<", ">")

#: Every type of more than a byte.
DTYPES = [np.dtype(f"{OTHER}{each}") for each in ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")]

VALUES = np.array([[1, 0, 3], [100, 5, 0]])


def swapped(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(array.dtype.newbyteorder(OTHER))


SOURCES: dict[str, Any] = {
    "numpy": np.array(VALUES, "f4"),
    "swapped": swapped(np.array(VALUES, "f4")),
    "torch": torch.tensor(VALUES),
    "torch, transposed": torch.tensor(VALUES, dtype=torch.float32).T.contiguous().T,
    "torch, bfloat16": torch.tensor(VALUES, dtype=torch.bfloat16),
    "a negative bit": torch.complex(torch.zeros(2, 3), -torch.tensor(VALUES, dtype=torch.float32)).conj().imag,
    "a buffer": np.array(VALUES, "i2").data,
    "a scalar": np.float32(3),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_numpy_as_a_target_honours_the_order(source: str, dtype: np.dtype[Any]) -> None:
    x = SOURCES[source]
    expected = np.asarray(interop.to_numpy(x)).astype(dtype)
    options: list[dict[str, Any]] = [{}, {"copy": True}, {"order": "F"}, {"writable": False}, {"writable": True}]
    for each in options:
        made = interop.to_numpy(x, dtype=dtype, **each)
        assert made.dtype == dtype
        assert made.dtype.byteorder == OTHER
        assert made.tobytes() == expected.tobytes()
        assert made.flags.writeable is (each.get("writable") is not False)
        plan = interop.explain(x, "numpy", dtype=dtype, **each)
        if plan.copied_bytes:
            writes = [step for step in plan.steps if step.do in ("copy", "cast")]
            assert plan.copied_bytes == sum(made.size * step.dtype.itemsize for step in writes if step.dtype)
            assert writes[-1].swapped
            assert "in the other byte order" in str(plan)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_where_it_is_one_pass_it_is_one(dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    for x in (np.array(VALUES, native), torch.from_numpy(np.array(VALUES, native)), np.array(VALUES, "i1")):
        plan = interop.explain(x, "numpy", dtype=dtype)
        assert sum(step.do in ("copy", "cast") for step in plan.steps) == 1
        assert plan.copied_bytes == VALUES.size * dtype.itemsize


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_names_the_machines_order_swaps(dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    a = np.array(VALUES).astype(dtype)
    for spelled in (native, native.type, native.str, np.dtype(native.name)):
        assert interop.explain(a, "numpy", dtype=spelled).copied_bytes == a.nbytes
        made = interop.to_numpy(a, dtype=spelled)
        assert made.dtype.isnative
        assert made.tolist() == a.tolist()
        with pytest.raises(interop.CopyError, match="byte order") as caught:
            interop.to_numpy(a, dtype=spelled, copy=False)
        assert advised(str(caught.value), a).dtype.isnative
    # It is what it is already: nothing to do.
    b = a.astype(native)
    assert interop.to_numpy(b, dtype=native, copy=False) is b


@pytest.mark.parametrize("name", ["float", "int"])
def test_pythons_types_mean_numpys_and_so_their_order(name: str) -> None:
    python = {"float": float, "int": int}[name]
    a = swapped(np.array(VALUES, python))
    assert interop.to_numpy(a, dtype=python).dtype.isnative


@pytest.mark.parametrize("spelled", ["int16", "i2", interop.DType("int16"), torch.int16])
def test_a_name_says_nothing_of_the_order(spelled: Any) -> None:
    a = swapped(np.array(VALUES, "i2"))
    assert interop.to_numpy(a, dtype=spelled) is a
    assert interop.to_numpy(a, dtype=spelled, copy=False) is a
    assert interop.explain(a, "numpy", dtype=spelled).steps[0].do == "keep"
    b = np.array(VALUES, "i2")
    assert interop.to_numpy(b, dtype=spelled) is b


def test_what_has_the_order_already_is_itself() -> None:
    for a in (swapped(np.array(VALUES, "f4")), swapped(np.array(VALUES, "f4"))[::-1, ::2]):
        assert interop.to_numpy(a, dtype=a.dtype, copy=False) is a
        fresh = interop.to_numpy(a, dtype=a.dtype, copy=True)
        assert fresh.dtype == a.dtype
        assert fresh.tolist() == a.tolist()
        assert not interop.shares_memory(fresh, a)


def test_a_type_of_one_byte_has_no_order() -> None:
    for dtype in (np.dtype(f"{OTHER}i1"), np.dtype("?"), np.dtype(ml_dtypes.float8_e5m2)):
        t = torch.ones(2, dtype=getattr(torch, dtype.name))
        assert interop.to_torch(interop.to_numpy(t, dtype=dtype)).data_ptr() == t.data_ptr()
        assert interop.to_torch(t, dtype=dtype) is t


def test_bfloat16_has_one() -> None:
    dtype = np.dtype(ml_dtypes.bfloat16).newbyteorder(OTHER)
    made = interop.to_numpy(torch.tensor([1.0, -2.5], dtype=torch.bfloat16), dtype=dtype)
    assert made.dtype.byteorder == OTHER
    assert made.tobytes() == np.array([1.0, -2.5], ml_dtypes.bfloat16).view("u2").byteswap().tobytes()
    assert interop.to_torch(made).tolist() == [1.0, -2.5]


def advised(text: str, x: Any) -> Any:
    """The result of the call that a message names."""
    call = re.search(r"interop\.to_\w+\(.*?\)(?= (?:copies|gives))", text)
    assert call is not None, text
    return eval(call.group(), {"interop": interop, "numpy": np, "x": x})


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_no_other_target_takes_it(dtype: np.dtype[Any]) -> None:
    native = dtype.newbyteorder("=")
    if not hasattr(torch, native.name):
        pytest.skip("torch has no such type")
    for x in (np.array(VALUES), swapped(np.array(VALUES)), torch.tensor(VALUES)):
        with pytest.raises(interop.DTypeError, match="byte order only") as caught:
            interop.to_torch(x, dtype=dtype)
        made = advised(str(caught.value), x)
        assert made.tolist() == VALUES.tolist()
        assert interop.dtype(made).matches(native)
        assert isinstance(interop.explain(x, "torch", dtype=dtype).error, interop.DTypeError)
    with pytest.raises(interop.DTypeError, match="byte order"):
        interop.empty_aligned(3, dtype)


def test_a_view_is_refused_before_a_byte_moves() -> None:
    dtype = np.dtype(f"{OTHER}f4")
    for x in (torch.ones(2), np.ones(2, "f4"), np.ones(2, "f4").data):
        with pytest.raises(interop.CopyError, match="byte order") as caught:
            interop.to_numpy(x, dtype=dtype, copy=False)
        made = advised(str(caught.value), x)
        assert made.dtype == dtype
        assert made.tolist() == [1, 1]


def test_a_short_name_in_the_other_order_is_told_what_to_pass() -> None:
    with pytest.raises(interop.DTypeError, match=re.escape(f"numpy.dtype('{OTHER}f4')")):
        interop.to_numpy(torch.ones(2), dtype=f"{OTHER}f4")
