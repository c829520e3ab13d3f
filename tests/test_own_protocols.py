"""What an object itself says, whatever its class: protocols set on it, proxies, weak references."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from refusals import refused
from torch.utils.dlpack import from_dlpack

import interop


class Plain:
    """A class that knows of no protocol."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Proxy:
    """Passes on the attributes of what it holds, as proxies do that are written in a few lines."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __getattr__(self, name: str) -> Any:
        return getattr(self.held, name)


class Legacy:
    """Exports by capsules that can't say whether memory may be written, as DLPack did before 1.0."""

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array

    def __dlpack__(self, stream: None = None) -> Any:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def spoken(a: np.ndarray[Any, Any]) -> dict[str, Plain]:
    """The same memory by each protocol that an object itself may speak."""
    legacy = Legacy(a)

    def export(**options: Any) -> Any:
        return a.__dlpack__(**options)

    return {
        "array interface": Plain(__array_interface__=a.__array_interface__, keeps=a),
        "dlpack": Plain(__dlpack__=export, __dlpack_device__=a.__dlpack_device__),
        "dlpack without a device": Plain(__dlpack__=export),
        "dlpack of another object": Plain(__dlpack__=a.__dlpack__),
        "old dlpack": Plain(__dlpack__=lambda stream=None: legacy.__dlpack__(stream)),
    }


@pytest.mark.parametrize("protocol", spoken(np.ones(1)))
def test_a_protocol_on_the_object_itself_is_spoken(protocol: str) -> None:
    a = np.arange(6.0)
    x = spoken(a)[protocol]
    assert interop.view(x).ptr == a.ctypes.data
    assert interop.to_numpy(x).tolist() == a.tolist()
    assert interop.shares_memory(x, a)
    assert (str(interop.dtype(x)), str(interop.device(x))) == ("float64", "cpu")
    assert interop.explain(x, "torch").ok
    assert interop.to_torch(x, copy=False, writable=False).data_ptr() == a.ctypes.data
    # One object says nothing of another of its class.
    assert "no tensor" in refused(Plain())


def test_what_producers_of_one_class_take_is_asked_of_each_object() -> None:
    a = np.arange(3.0)
    old, new = spoken(a)["old dlpack"], spoken(a)["dlpack"]
    for _ in range(2):
        assert not interop.to_numpy(old).flags.writeable
        assert interop.to_numpy(new).flags.writeable


@pytest.mark.parametrize("make", [Proxy, weakref.proxy], ids=["proxy", "weak"])
def test_a_proxy_stands_for_the_object_behind_it(make: Any) -> None:
    t = torch.arange(3.0)
    x = make(t)
    assert interop.to_numpy(x).ctypes.data == t.data_ptr()
    assert interop.framework(x) == "torch"
    assert type(interop.convert_like(np.ones(2), x)) is torch.Tensor
    assert interop.to_torch(x).data_ptr() == t.data_ptr()
    # What its adapter knows of its exports: DLPack hands out memory that isn't negated.
    z = torch.tensor([1 + 2j]).conj().imag
    assert interop.to_numpy(make(z)).tolist() == [-2]
    graph = torch.ones(1, requires_grad=True)
    with pytest.raises(interop.GradientError):
        interop.to_numpy(make(graph))
    masked = np.ma.masked_array([1.0, 2.0], mask=[True, False])
    fix = refused(make(masked))
    assert "Pass x.filled()" in fix
    assert make(masked).filled().tolist() == [masked.fill_value, 2]
    assert interop.to_numpy(make(masked).filled(0)).tolist() == [0, 2]


def test_what_a_weak_reference_shows_is_kept_alive() -> None:
    class Held(np.ndarray):
        """Arrays of numpy's own type have no weak proxies here."""

    a = Held(1000)
    a[:] = 7
    x, told = weakref.proxy(a), weakref.ref(a)
    shown = interop.to_numpy(x)
    del a
    gc.collect()
    assert shown.tolist() == [7.0] * 1000
    assert told() is not None
    del shown
    gc.collect()
    assert told() is None
    assert "is gone" in refused(x)


class EveryName:
    """Answers to every name, as a proxy of another process may, or a mock."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments, **_options: np.ones(2).__dlpack__()


class Raises:
    """Asked for anything that its class doesn't have, it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "x",
    [
        EveryName(),
        Raises(),
        Plain(__array_interface__=3),
        Plain(__array_interface__=[("shape", (1,))]),
        Plain(__dlpack__="no method"),
        np.ndarray,
        torch.Tensor,
    ],
    ids=["every name", "raises", "a number", "a list", "a string", "a class", "another class"],
)
def test_what_isnt_of_the_protocols_kind_is_none(x: Any) -> None:
    assert "no tensor" in refused(x)


def test_trees_and_arguments_count_by_their_class_alone() -> None:
    x = spoken(np.arange(3.0))["array interface"]
    assert interop.convert_tree({"x": x}, "torch")["x"] is x

    @interop.via("torch")
    def same(value: Any, tensor: Any) -> Any:
        assert value is x
        return tensor + 1

    assert same(x, np.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize("make", [lambda a: a.__dlpack__(), Legacy], ids=["capsule", "producer"])
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_the_callers_word_makes_a_legacy_capsule_writable(make: Any, to: str) -> None:
    a = np.arange(4.0)
    assert interop.explain(make(a), to, copy=False, writable=True).ok
    x = interop.convert(make(a), to, copy=False, writable=True)
    x[0] = 9
    assert a[0] == 9
    assert not interop.shares_memory(interop.to_torch(make(a)), a)
    assert interop.view(make(a)).readonly
    view = interop.view(make(a), writable=True)
    assert not view.readonly
    interop.to_torch(view)[1] = 8
    assert a[1] == 8


def test_what_says_that_it_is_readonly_stays_so() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    for x in (a, b"abcd", Plain(__array_interface__=a.__array_interface__, keeps=a)):
        for to in ("numpy", "torch"):
            with pytest.raises(interop.ReadOnlyError):
                interop.convert(x, to, copy=False, writable=True)
            assert isinstance(interop.explain(x, to, copy=False, writable=True).error, interop.ReadOnlyError) or (
                not interop.explain(x, to, copy=False, writable=True).certain
            )
        with pytest.raises(interop.ReadOnlyError, match=r"interop\.view\(interop\.to_numpy\(x, writable=True\)\)"):
            interop.view(x, writable=True)
        assert not interop.view(interop.to_numpy(x, writable=True)).readonly
    assert not interop.view(np.ones(2), writable=True).readonly


def test_a_promise_lets_consumers_of_legacy_capsules_have_readonly_memory() -> None:
    for x in (np.arange(3.0), b"abc", np.float32(2), torch.ones(2)):
        view = interop.view(x, writable=False)
        assert view.readonly
        assert view.promised
        taken = from_dlpack(view.__dlpack__())
        assert taken.data_ptr() == view.ptr
        assert memoryview(view).readonly
        # Whoever takes it from here is promised nothing: neither another View nor an array.
        assert not interop.to_numpy(view).flags.writeable
        with pytest.raises(BufferError, match=r"interop\.view\(x, writable=False\)"):
            view.with_readonly().__dlpack__()
    with pytest.raises(BufferError, match=r"interop\.view\(x, writable=False\)"):
        interop.view(b"abc").__dlpack__()


@pytest.mark.parametrize("wrong", [0, 1, "no", np.bool_(False)])
def test_views_take_no_other_word(wrong: Any) -> None:
    with pytest.raises(interop.UnsupportedError, match="writable="):
        interop.view(np.ones(2), writable=wrong)


def test_a_subclass_with_an_export_of_its_own_speaks_for_itself() -> None:
    class Speaking(np.ndarray):
        def __array_finalize__(self, _obj: Any) -> None:
            self.unit = "m"

        def __dlpack__(self, **options: Any) -> Any:
            return (np.asarray(self) * 2).__dlpack__(**options)

    x = np.ones(3).view(Speaking)
    assert interop.to_torch(x).tolist() == [2, 2, 2]
    assert interop.to_numpy(x).tolist() == [2, 2, 2]


@pytest.mark.parametrize("value", [np.float16(1.5), np.float64(2.5), np.bool_(True), np.uint8(7), np.complex64(1j)])
def test_a_scalar_is_a_readonly_view_of_its_own_memory(value: Any) -> None:
    view = interop.view(value)
    assert (view.shape, view.readonly) == ((), True)
    assert view.ptr == np.frombuffer(value, value.dtype).ctypes.data
    a = interop.to_numpy(value, copy=False)
    assert a == value
    assert not a.flags.writeable
    assert interop.shares_memory(a, value)
    assert interop.to_torch(value).tolist() == value.item()
    assert interop.to_numpy(value, copy=True).flags.writeable
    del value
    gc.collect()
    assert a.ndim == 0
