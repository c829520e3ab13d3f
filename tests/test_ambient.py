"""What the surroundings must not change: default devices, fake modes, odd types, odd names, hostile objects."""

from __future__ import annotations

import pickle
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import interop
from interop._registry import lookup
from interop.errors import NotInstalledError

PLANNED: dict[str, Callable[[], Any]] = {
    "a cast": lambda: interop.to_numpy(torch.ones(2, device="cpu"), dtype="float64"),
    "a copy": lambda: interop.to_torch(np.arange(3.0)[::-1]),
    "a bit": lambda: interop.to_numpy(torch.ones(2, dtype=torch.complex64, device="cpu").conj()),
    "a view": lambda: interop.to_numpy(torch.ones(2, device="cpu"), writable=False),
    "bfloat16": lambda: interop.to_numpy(torch.ones(2, dtype=torch.bfloat16, device="cpu")),
}


@pytest.mark.parametrize("what", ["a cast", "a copy", "a bit", "a view", "bfloat16"])
def test_a_default_device_of_torch_changes_nothing(what: str) -> None:
    wanted = interop.to_numpy(PLANNED[what]())
    with torch.device("meta"):
        assert interop.to_numpy(PLANNED[what]()).tolist() == wanted.tolist()


def test_in_a_fake_mode_real_memory_stays_real_or_is_refused() -> None:
    a, t = np.arange(3.0), torch.ones(2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert type(interop.to_torch(a)) is torch.Tensor
        for x in (t, a[::-1]):
            with pytest.raises(interop.UnsupportedError, match="fake mode"):
                interop.to_torch(x, copy=True)


def test_a_tensor_without_memory_yet_is_refused() -> None:
    parameter = torch.nn.LazyLinear(3).weight
    for call in (interop.to_numpy, interop.view, interop.device, interop.dtype):
        with pytest.raises(interop.UnsupportedError, match="no memory yet"):
            call(parameter)
    assert not interop.explain(parameter, "numpy").ok


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="StringDType came with numpy 2")
def test_variable_strings_are_refused() -> None:
    strings = np.array(["a"], dtype=np.dtypes.StringDType())
    assert interop.to_numpy(strings) is strings
    for call in (interop.to_torch, interop.view, interop.dtype):
        with pytest.raises(interop.UnsupportedError, match="strings"):
            call(strings)


@pytest.mark.parametrize("dtype", [">i4", "field"])
def test_a_readonly_view_of_odd_memory_stays_a_view(dtype: str) -> None:
    a = np.zeros(3, [("a", "i1"), ("b", "f4")])["b"] if dtype == "field" else np.arange(3, dtype=dtype)
    assert interop.explain(a, "numpy", writable=False).zero_copy
    result = interop.to_numpy(a, writable=False)
    assert np.shares_memory(a, result)
    assert not result.flags.writeable
    assert a.flags.writeable


def test_what_stays_in_numpy_stays_with_copy_false_too() -> None:
    for a in (np.array(["a"]), np.zeros(2, [("a", "i4")]), np.array([None])):
        assert interop.explain(a, "numpy", copy=False).zero_copy
        assert interop.to_numpy(a, copy=False) is a


@pytest.mark.parametrize("name", ["int4", "uint4", "int1", "uint7", "bits8"])
def test_packed_integers_of_torch_never_pass_for_bytes(name: str) -> None:
    if not hasattr(torch, name):
        pytest.skip(f"this torch has no {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = torch.tensor([1, 2], dtype=torch.uint8).view(getattr(torch, name))
        assert str(interop.dtype(t)) == f"torch.{name}"
        for call in (interop.view, interop.to_numpy):
            with pytest.raises(interop.DTypeError, match=f"torch.{name}"):
                call(t)
        with pytest.raises(interop.DTypeError):
            interop.DType(getattr(torch, name))
    assert interop.view(torch.tensor([1], dtype=torch.uint8)).dtype == "uint8"


def test_a_scalars_copy_is_writable_and_is_planned_so() -> None:
    # Of ml_dtypes' scalars nothing shows the memory.
    x = ml_dtypes.bfloat16(3)
    plan = interop.explain(x, "numpy")
    assert not any(step.readonly for step in plan.steps if step.do == "wrap")
    assert interop.to_numpy(x).flags.writeable
    assert "scalar" in plan.reasons[0]
    with pytest.raises(interop.CopyError, match=r"interop\.to_numpy\(x, copy=True\)"):
        interop.view(x)


def test_advice_about_dtypes_is_advice_that_works() -> None:
    z = torch.ones(2, dtype=torch.complex64)
    with pytest.raises(interop.DTypeError, match="dtype='complex64'"):
        interop.to_numpy(z, dtype="complex32")
    # One that loses nothing, before one that is like what was asked for.
    with pytest.raises(interop.DTypeError, match="dtype='float64'"):
        interop.to_torch(np.ones(2), dtype="int4")
    with pytest.raises(interop.DTypeError, match="dtype='int8'"):
        interop.to_torch(np.ones(2, np.int8), dtype="int4")
    with pytest.raises(interop.UnsupportedError, match="complex128"):
        interop.to_torch(np.ones(2, "clongdouble"))
    assert interop.to_torch(np.ones(2, ml_dtypes.int4), dtype="int8").tolist() == [1, 1]


@pytest.mark.parametrize("address", [0, 1, 5, -1, 4097, 2**64 + 4096])
@pytest.mark.parametrize("spelling", ["__dlpack_c_exchange_api__", "__c_dlpack_exchange_api__"])
def test_an_exchange_api_that_is_no_address_isnt_followed(spelling: str, address: int) -> None:
    with pytest.raises(interop.UnsupportedError):
        interop.to_numpy(type("Odd", (), {spelling: address})())


@pytest.mark.parametrize("name", ["torch.utils.dlpack", "array_api_compat.torch", "torch"])
def test_a_submodules_name_means_its_framework(name: str) -> None:
    t = interop.convert(np.arange(3.0)[::-1], name)
    assert type(t) is torch.Tensor


@pytest.mark.parametrize("name", ["", ".numpy", "..x", "a b", "numpy."])
def test_what_is_no_name_is_no_target(name: str) -> None:
    with pytest.raises(interop.UnsupportedError, match="names no framework"):
        interop.convert(np.ones(2), name)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, ImportError])
def test_a_module_that_breaks_on_import_is_named(
    error: type[BaseException], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"breaks_with_{error.__name__.lower()}"
    (tmp_path / f"{name}.py").write_text(f"raise {error.__name__}('no reason')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(interop.UnsupportedError, match="no reason"):
        interop.convert(np.ones(2), name)


@pytest.mark.usefixtures("types_die")
def test_types_of_a_framework_can_die() -> None:
    import gc
    import weakref

    def use() -> weakref.ref[type]:
        subclass = types.new_class("Passing", (torch.Tensor,))
        interop.to_numpy(torch.ones(1).as_subclass(subclass))
        return weakref.ref(subclass)

    alive = use()
    gc.collect()
    assert alive() is None
    assert torch.Tensor in lookup._by_type


def test_errors_travel_between_processes() -> None:
    for error in (NotInstalledError("gone", name="x"), interop.CopyError("no"), interop.UnsupportedError("no")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))


def test_an_object_that_fails_under_the_eyes_is_named() -> None:
    class Hostile(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_: Any, **__: Any) -> Any:
            raise RuntimeError("not for you")

    t = torch.ones(2).as_subclass(Hostile)
    with pytest.raises(interop.UnsupportedError, match="not for you"):
        interop.to_numpy(t)
    assert not interop.explain(t, "numpy").ok


def test_an_adapters_class_isnt_an_adapter() -> None:
    with pytest.raises(interop.UnsupportedError, match="is a class"):
        interop.register(type("Toy", (), {}))  # type: ignore[arg-type]


def test_a_view_cant_be_cut_from_its_memory() -> None:
    v = interop.view(np.ones(2))
    with pytest.raises(interop.UnsupportedError, match="keeps no memory"):
        v.with_owner(None)
    with pytest.raises(interop.DeviceError, match="isn't memory on cuda"):
        v.with_device(2, 0)
    assert v.with_device(3, 0).device == "cuda_host:0"
    assert "numpy" in sys.modules
