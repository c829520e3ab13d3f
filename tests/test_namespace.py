"""The array API's namespace of what a function was called with."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

import interop

compat: Any = pytest.importorskip("array_api_compat")


def test_arrays_decide_and_numbers_do_not() -> None:
    import array_api_compat.numpy
    import array_api_compat.torch

    assert interop.namespace(np.ones(2)) is array_api_compat.numpy
    assert interop.namespace(None, 2.0, np.float32(1), [1], torch.ones(2), torch.ones(3)) is array_api_compat.torch
    for like in ("torch", torch, array_api_compat.torch, torch.ones(1)):
        assert interop.namespace(np.ones(2), like=like) is array_api_compat.torch


def test_a_copy_that_another_package_brings_along_is_known_by_its_name() -> None:
    copy = types.ModuleType("some.externals.array_api_compat.torch")
    assert interop.namespace(like=copy).__name__ == "array_api_compat.torch"
    assert isinstance(interop.convert(np.ones(2), copy), torch.Tensor)
    assert isinstance(interop.convert_tree([np.ones(2)], copy)[0], torch.Tensor)
    assert interop.via(copy)(lambda x: type(x) is torch.Tensor)(np.ones(2))


@pytest.mark.parametrize(
    ("xs", "text"),
    [
        ((), "there is no array.*like='numpy'"),
        ((1, None), "there is no array"),
        ((np.ones(1), torch.ones(1)), "numpy and torch.*like='numpy'"),
        (("text",), "a str is no array"),
        ((interop.view(np.ones(1)),), "has no namespace"),
    ],
)
def test_what_has_no_namespace_is_refused(xs: Any, text: str) -> None:
    with pytest.raises(interop.UnsupportedError, match=text):
        interop.namespace(*xs)


def test_without_array_api_compat_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "array_api_compat", None)
    with pytest.raises(ImportError, match=r"pip install \"tensor-interop\[namespace\]\""):
        interop.namespace(np.ones(1))
