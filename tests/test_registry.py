"""An adapter joins by register(): both ways, before others, for as long as it is right."""

from __future__ import annotations

import gc
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import toys

import interop
from interop._adapters._shared.host import HostOnly
from interop._devices import HOST_ACCESSIBLE
from interop._native import ndarray_from_view
from interop._registry import frameworks, lookup, plugins
from interop.protocols import Facts, Limits, make_view

#: Of no type that a checker knows for an element type or a device.
REAL: Any = object()
HERE: Any = object()


class Toy:
    """An array of one's own: it speaks no protocol at all."""

    def __init__(self, array: np.ndarray[Any, Any], *, scale: float = 1.0) -> None:
        self.array = array
        self.scale = scale


class ToyAdapter(HostOnly):
    """What an author writes: facts, limits and verbs."""

    api = 1
    name = "toy"
    modules = ("toy",)

    def claims(self, tp: type, /) -> bool:
        return issubclass(tp, Toy)

    def limits(self, device_type: int, /) -> Limits | None:
        known = frozenset({"float32", "float64", "int32"})
        return Limits(known, strides="c", alignment=8, readonly="drops") if device_type in HOST_ACCESSIBLE else None

    def describe(self, x: Toy, /) -> Facts:
        v = interop.view(x.array)
        return Facts(
            framework=self.name,
            dtype=v.dtype,
            device=v.device,
            shape=v.shape,
            strides=v.strides,
            ptr=v.ptr,
            extent=v.extent,
            readonly=v.readonly,
            grad="reverse" if x.scale != 1 else "none",
        )

    def settle(self, x: Toy, what: frozenset[str], /) -> Toy:
        return Toy(x.array)

    def export(self, x: Toy, facts: Facts, _stream: Any, /) -> interop.View:
        assert facts.ptr is not None
        return make_view(
            facts.ptr,
            facts.shape,
            facts.strides,
            (facts.dtype.code, facts.dtype.bits, facts.dtype.lanes),
            facts.device.dlpack,
            readonly=facts.readonly,
            owner=x.array,
        )

    def wrap(self, view: interop.View, /) -> Toy:
        return Toy(ndarray_from_view(view))

    def empty(self, dtype: Any, shape: Any, strides: Any, device: Any, /) -> Toy:
        return Toy(np.empty(shape, dtype.numpy))

    def assign(self, dst: Any, src: Any, /) -> None:
        into, values = (x.array if isinstance(x, Toy) else ndarray_from_view(x) for x in (dst, src))
        np.copyto(into, values, casting="unsafe")

    def native_dtypes(self) -> dict[Any, str]:
        return {REAL: "float32"}

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        return (1, 0) if device is HERE else None


@pytest.fixture
def registered() -> Iterator[ToyAdapter]:
    adapter = ToyAdapter()
    with toys.registered(adapter):
        yield adapter


def test_before_it_is_registered_nothing_knows_it() -> None:
    with pytest.raises(interop.UnsupportedError, match="no adapter claims"):
        interop.to_numpy(Toy(np.ones(2)))


@pytest.mark.usefixtures("registered")
def test_a_registered_framework_goes_both_ways() -> None:
    a = np.arange(6, dtype="f4").reshape(2, 3)
    toy = interop.convert(a, "toy")
    assert isinstance(toy, Toy)
    assert interop.shares_memory(a, toy)
    assert interop.to_torch(toy).data_ptr() == a.ctypes.data
    assert (interop.framework(toy), str(interop.dtype(toy)), str(interop.device(toy))) == ("toy", "float32", "cpu")
    assert interop.view(toy).ptr == a.ctypes.data
    assert isinstance(interop.convert_like(torch.ones(2), toy), Toy)
    assert interop.convert(toy, "toy") is toy
    assert interop.adapters()["toy"].origin == "registered"


@pytest.mark.usefixtures("registered")
def test_its_limits_are_kept_by_the_planner() -> None:
    a = np.arange(6, dtype="f4").reshape(2, 3)
    plan = interop.explain(a.T, "toy")
    assert plan.certain
    assert "strides other than C order" in plan.reasons[0]
    assert interop.convert(a.T, "toy").array.tolist() == a.T.tolist()
    with pytest.raises(interop.DTypeError, match="dtype='float32'"):
        interop.convert(a.astype("f2"), "toy")
    assert interop.convert(a.astype("f2"), "toy", dtype="float32").array.dtype == np.float32
    assert interop.convert(a.astype("f2"), "toy", dtype=REAL).array.dtype == np.float32
    assert interop.convert(a, "toy", device=HERE).array is not None
    a.flags.writeable = False
    assert not interop.shares_memory(a, interop.convert(a, "toy"))
    with pytest.raises(interop.GradientError):
        interop.to_numpy(Toy(np.ones(2), scale=3.0))
    assert interop.to_numpy(Toy(np.ones(2), scale=3.0), detach=True).tolist() == [1, 1]
    interop.copyto(Toy(np.zeros(2)), torch.ones(2))


def test_a_registered_adapter_replaces_a_built_in_one(registered: ToyAdapter) -> None:
    class Other(ToyAdapter):
        name = "torch"

        def claims(self, tp: type, /) -> bool:
            return issubclass(tp, torch.Tensor)

        def describe(self, x: Any, /) -> Facts:
            raise interop.UnsupportedError("the replacement was asked")

    t = torch.ones(2)
    calls: list[Callable[[], Any]] = [
        lambda: interop.to_numpy(t),
        lambda: interop.to_numpy(t, copy=False),
        lambda: interop.to_numpy(t, copy=True),
        lambda: interop.convert(t, "numpy"),
        lambda: interop.view(t),
        lambda: interop.copyto(np.zeros(2), t),
    ]
    for call in calls:
        call()
        call()
    interop.register(Other())
    for call in calls:
        with pytest.raises(interop.UnsupportedError, match="replacement"):
            call()
    assert registered.name == "toy"


@pytest.mark.parametrize("flaw", ["not an adapter", "one part missing", "another version"])
def test_what_is_no_adapter_is_refused(flaw: str) -> None:
    class Incomplete(ToyAdapter):
        claims = None  # type: ignore[assignment]
        api = 99 if flaw == "another version" else 1

    adapter: Any = object() if flaw == "not an adapter" else Incomplete()
    before = dict(lookup._loaded)
    with pytest.raises(interop.UnsupportedError, match=r"Adapter|version"):
        interop.register(adapter)
    assert dict(lookup._loaded) == before


@pytest.mark.usefixtures("types_die")
def test_types_that_nobody_claims_can_die() -> None:
    def use() -> weakref.ref[type]:
        class Passing:
            def __init__(self) -> None:
                self.array = np.ones(2)

            def __dlpack__(self, **keywords: Any) -> Any:
                return self.array.__dlpack__(**keywords)

            def __dlpack_device__(self) -> tuple[int, int]:
                return (1, 0)

        interop.to_numpy(Passing())
        return weakref.ref(Passing)

    alive = use()
    gc.collect()
    assert alive() is None


def test_an_entry_point_is_loaded_when_its_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("toy")
    module.adapter = ToyAdapter()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toy", module)
    entry = plugins.Entry("toy", "toy:adapter", "toy-arrays", "1.0")
    rows = {**frameworks.rows(), "toy": frameworks.Row("toy", "toy", "toy:adapter", "toy", entry=entry)}
    monkeypatch.setattr(frameworks, "rows", lambda: rows)
    try:
        assert interop.adapters()["toy"].origin == "entry point of toy-arrays"
        assert isinstance(interop.convert(np.ones(2), "toy"), Toy)
        assert interop.adapters()["toy"].loaded
    finally:
        lookup._loaded.pop("toy", None)
        lookup._by_type.pop(Toy, None)


def test_another_threads_register_empties_the_tables_between_two_look_ups(monkeypatch: pytest.MonkeyPatch) -> None:
    class Emptied(weakref.WeakKeyDictionary[type, Any]):
        def __contains__(self, tp: object) -> bool:
            found = super().__contains__(tp)
            self.clear()
            return found

        def get(self, key: type, default: Any = None) -> Any:
            found = super().get(key, default)
            self.clear()
            return found

    monkeypatch.setattr(lookup, "_unclaimed", Emptied())
    monkeypatch.setattr(lookup, "_by_type", Emptied())
    for _ in range(3):
        with pytest.raises(interop.UnsupportedError, match="no adapter claims"):
            interop.to_numpy(object())
    for _ in range(3):
        assert interop.framework(np.ones(2)) == "numpy"


def test_another_thread_finds_every_adapter_while_one_registers(
    registered: ToyAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Read(dict[str, Any]):
        """A table that somebody reads all the time."""

        def clear(self) -> None:
            super().clear()
            raise AssertionError("whoever reads the table now finds nothing in it")

    monkeypatch.setattr(lookup, "_loaded", Read(lookup._loaded))
    interop.register(registered)
    assert interop.adapters()["toy"].loaded
