"""Words that people type, and what is said of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from ml_dtypes import bfloat16

import interop
from interop._registry import frameworks
from interop._words import about, with_article

NAMES = [(name, row) for row in frameworks.ROWS for name in row.known_as]


@pytest.mark.parametrize(("name", "row"), NAMES, ids=[name for name, _ in NAMES])
def test_what_people_import_a_framework_as_is_suggested_its_name(name: str, row: frameworks.Row) -> None:
    # A module of such a name, which there may be here too, isn't looked for.
    from interop._registry import targets

    assert re.search(f"^Did you mean {row.name!r}", targets._hint(name))


def test_a_name_that_nobody_has_is_told_so() -> None:
    with pytest.raises(interop.UnsupportedError, match="Did you mean 'numpy'"):
        interop.convert(np.ones(2), "nunpy")
    with pytest.raises(interop.UnsupportedError, match="Known are "):
        interop.convert(np.ones(2), "zzzzzz")


@pytest.mark.parametrize(("spelled", "meant"), [("mps", "metal:0"), ("mps:1", "metal:1"), ("xpu", "oneapi:0")])
def test_devices_by_the_names_that_frameworks_have_for_them(spelled: str, meant: str) -> None:
    assert str(interop.Device(spelled)) == meant
    with pytest.raises(interop.DeviceError, match=r"interop\.to_numpy\(x\) leaves it on cpu"):
        interop.to_numpy(np.ones(2), device=spelled)


@pytest.mark.parametrize("door", [interop.to_numpy, interop.to_torch])
def test_force_is_told_what_it_is_here(door: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{door.__name__}\(\).*'force'\. It is detach=True and device='cpu' here"):
        door(torch.ones(2), force=True)


def test_an_array_shares_memory_with_itself_where_it_has_any() -> None:
    assert interop.shares_memory(x := np.ones(2), x)
    assert interop.shares_memory(s := np.float64(1), s)
    assert not interop.shares_memory(e := np.ones(0), e)


def test_readonly_says_what_it_is() -> None:
    text = " ".join((interop.View.__doc__ or "").split())
    assert "readonly : bool Whether the memory must not be written." in text


def test_the_bytes_of_what_has_no_format_are_named() -> None:
    view = interop.view(np.ones(2, bfloat16))
    with pytest.raises(BufferError, match=r"view\(x\)\.bytes"):
        memoryview(view)
    assert view.bytes.tolist() == [0x80, 0x3F] * 2


def test_explain_refuses_an_element_type_that_the_target_lacks_whatever_comes() -> None:
    plan = interop.explain(b"12345678", "torch", dtype="float8_e3m4")
    assert isinstance(plan.error, interop.DTypeError)
    with pytest.raises(interop.DTypeError):
        interop.to_torch(b"12345678", dtype="float8_e3m4")
    assert interop.explain(b"12345678", "torch", dtype="float64").ok


def test_articles() -> None:
    for name, said in {"array": "an array", "uint8": "a uint8", "Tensor": "a Tensor", "int": "an int"}.items():
        assert with_article(name) == said


def test_advice_is_told_of_what_wraps_it() -> None:
    told = {
        "Pass x.view('int64').": "Pass x.data.view('int64').",
        "Pass numpy.asarray(x), or x[0].": "Pass numpy.asarray(x.data), or x.data[0].",
        "Pass x['x.y'], x[\"x)\"].": "Pass x.data['x.y'], x.data[\"x)\"].",
    }
    for text, meant in told.items():
        assert about(text, "x.data") == meant
