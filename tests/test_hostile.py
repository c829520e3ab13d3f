"""Objects that raise, lie or answer to everything, at every public function, in every place: a result or our error."""

from __future__ import annotations

import collections
import contextlib
import gc
import re
import types
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import interop

if TYPE_CHECKING:
    from collections.abc import Callable


class Foreign(Exception):
    """What nobody but a hostile object raises; it can't even be printed."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def refuse(*_arguments: Any, **_options: Any) -> Any:
    raise Foreign


#: The methods that somebody might call without meaning to.
SPECIAL = (
    *("__repr__", "__str__", "__format__", "__bool__", "__len__", "__iter__", "__hash__", "__eq__", "__ne__", "__lt__"),
    *("__gt__", "__contains__", "__getitem__", "__index__", "__int__", "__float__", "__fspath__", "__dir__"),
)


#: What a hostile value of a builtin type holds: something that would be right, by its type and place.
HOLDING: dict[type, Any] = {str: "cpu", int: 1, tuple: (1, 0), list: [1, 0]}

#: The types that were made for a test, which have to die when it ends.
MADE: list[weakref.ref[type]] = []


def new_type(*bases: type, meta: type = type, **namespace: Any) -> Any:
    made = meta("Hostile", bases, namespace)
    MADE.append(weakref.ref(made))
    return made


def of(*bases: type, **namespace: Any) -> Callable[[], Any]:
    """What makes objects of a class of its own."""
    holding = [HOLDING[base] for base in bases if base in HOLDING]
    return lambda: new_type(*bases, **namespace)(*holding)


def of_meta(**namespace: Any) -> Callable[[], Any]:
    """Objects whose class is of a metaclass with these attributes."""

    def make() -> Any:
        return new_type(meta=new_type(type, **namespace))()

    return make


def says(value: Any) -> property:
    return property(lambda _: value)


def with_interface(name: str, value: Any) -> Callable[[], Any]:
    return of(**{name: says(value)})


def released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


def nameless() -> types.ModuleType:
    module = types.ModuleType("m")
    del module.__name__
    return module


def consumed() -> Any:
    capsule = interop.view(np.ones(2)).__dlpack__()
    from_dlpack(capsule)
    return capsule


class OddDict(dict[str, Any]):
    """A dictionary that answers by its own rules."""

    get = __getitem__ = __contains__ = keys = items = __iter__ = __len__ = refuse


MEMORY = np.zeros(2, "f4")
INTERFACE = {"shape": (2,), "typestr": MEMORY.dtype.str, "data": (MEMORY.ctypes.data, False), "version": 3}
RAISING = property(refuse)

HOSTILE: dict[str, Callable[[], Any]] = {
    "AttrDict": of(dict, __getattr__=dict.__getitem__),
    "a dictionary that notes the names": of(
        collections.defaultdict, __getattr__=collections.defaultdict.__getitem__, __init__=lambda self: None
    ),
    "__getattr__": of(__getattr__=refuse),
    "__getattribute__": of(__getattribute__=refuse),
    "__class__": of(__class__=RAISING),
    "__dict__": of(__dict__=RAISING),
    "__module__ = None": of(__module__=None),
    "__module__ raises": of(__module__=RAISING),
    "__qualname__ is long": of(__qualname__="x" * 10_000),
    "repr is long": of(__repr__=lambda _: "x" * 10_000_000),
    "repr is no string": of(__repr__=lambda _: 3),
    **{name: of(**{name: refuse}) for name in SPECIAL},
    "all of these": of(**dict.fromkeys(SPECIAL, refuse), __class__=RAISING, __getattr__=refuse),
    **{f"str, {name}": of(str, **{name: refuse}) for name in SPECIAL},
    **{f"int, {name}": of(int, **{name: refuse}) for name in SPECIAL},
    **{f"tuple, {name}": of(tuple, **{name: refuse}) for name in ("__len__", "__iter__", "__hash__", "__eq__")},
    "list, __len__": of(list, __len__=refuse, __iter__=refuse, __getitem__=refuse),
    **{
        f"says that it is {each.__name__}": of(__class__=says(each))
        for each in (np.ndarray, np.dtype, torch.Tensor, torch.device, interop.View, str, int, tuple, type)
    },
    "says that it is a DType": of(__class__=says(interop.DType), name="float32"),
    "says that it is a Device": of(__class__=says(interop.Device), dlpack=(1, 0)),
    "a metaclass's __getattr__": of_meta(__getattr__=refuse),
    "a metaclass's __getattribute__": of_meta(__getattribute__=refuse),
    "a metaclass's names": of_meta(__module__=RAISING, __name__=RAISING, __mro__=RAISING),
    "a metaclass's __hash__": of_meta(__hash__=refuse),
    "a metaclass's __eq__": of_meta(__eq__=refuse, __hash__=lambda _: hash(torch.Tensor)),
    "a metaclass's checks": of_meta(__instancecheck__=refuse, __subclasscheck__=refuse, __repr__=refuse),
    "a metaclass's protocol": of_meta(__dlpack__=refuse, __array_interface__=INTERFACE, __array_namespace__=refuse),
    "answers to everything": of(__getattr__=lambda self, _: self, __call__=lambda self, *_, **__: self),
    "a mock": mock.Mock,
    "a magic mock": mock.MagicMock,
    "a mock of a tensor": lambda: mock.MagicMock(spec=torch.Tensor),
    "a mock of an array": lambda: mock.MagicMock(spec=np.ndarray),
    "a mock of a View": lambda: mock.MagicMock(spec=interop.View),
    "__dlpack__ = None": of(__dlpack__=None),
    "__dlpack__ raises": of(__dlpack__=refuse, __dlpack_device__=lambda _: (1, 0)),
    "__dlpack__ is a property": of(__dlpack__=RAISING),
    "__dlpack__ returns anything": of(__dlpack__=lambda _, **__: HOSTILE["all of these"]()),
    "__dlpack_device__ raises": of(__dlpack__=refuse, __dlpack_device__=refuse),
    "__dlpack_device__ returns anything": of(
        __dlpack__=refuse, __dlpack_device__=lambda _: (HOSTILE["all of these"](), HOSTILE["__bool__"]())
    ),
    "__dlpack_c_exchange_api__": of(__dlpack_c_exchange_api__=RAISING),
    "__array_namespace__": of(__dlpack__=refuse, __dlpack_device__=lambda _: (1, 0), __array_namespace__=refuse),
    **{
        f"{name}, {what}": with_interface(name, value)
        for name in ("__array_interface__", "__cuda_array_interface__")
        for what, value in {
            "no dictionary": of(__repr__=refuse, __class__=RAISING)(),
            "an odd dictionary": OddDict(INTERFACE),
            "an odd shape": {**INTERFACE, "shape": of(tuple, __iter__=refuse, __repr__=refuse)()},
            "an odd typestr": {**INTERFACE, "typestr": of(__class__=RAISING, __repr__=refuse)()},
            "odd data": {**INTERFACE, "data": (MEMORY.ctypes.data, of(__bool__=refuse)())},
            "data that is no pair": {**INTERFACE, "data": new_type(tuple, __iter__=refuse, __repr__=refuse)()},
            "an odd stream": {**INTERFACE, "stream": of(int, __le__=refuse, __repr__=refuse)()},
            "an odd version": {**INTERFACE, "version": of(__lt__=refuse)(), "data": (0, False), "shape": (0,)},
            "no mask": {**INTERFACE, "mask": of(__bool__=refuse, __repr__=refuse)()},
        }.items()
    },
    "__array_interface__ raises": of(__array_interface__=RAISING),
    "__cuda_array_interface__ raises": of(__cuda_array_interface__=RAISING),
    "__array__": of(__array__=refuse),
    "__cuda_stream__": of(__cuda_stream__=refuse),
    "__cuda_stream__ returns anything": of(__cuda_stream__=lambda _: (0, HOSTILE["all of these"]())),
    "a released memoryview": released,
    "a dead proxy": lambda: weakref.proxy(of()()),
    "an array": lambda: np.ones(2),
    "an array of objects": lambda: np.array([of(__repr__=refuse, __bool__=refuse)()]),
    "an array of a class without a module": lambda: np.ones(2).view(new_type(np.ndarray, __module__=None)),
    "a masked value": lambda: np.ma.masked,
    "a torch function that raises": lambda: torch.ones(2).as_subclass(
        new_type(torch.Tensor, __torch_function__=classmethod(refuse))
    ),
    "a tensor without a dtype": lambda: torch.ones(2).as_subclass(
        new_type(torch.Tensor, dtype=RAISING, is_conj=refuse, layout=RAISING)
    ),
    "a module without a name": nameless,
    "a module that raises": lambda: new_type(types.ModuleType, __name__=RAISING, __repr__=refuse)("m"),
    "a class": lambda: new_type(__dlpack__=refuse, __array_interface__=RAISING),
    "NotImplemented": lambda: NotImplemented,
    "a generator": lambda: (each for each in ""),
    "a huge number": lambda: 10**6000,
    "torch.device of no build": lambda: torch.device("cuda"),
    "torch.device without memory": lambda: torch.device("meta"),
    "a capsule": lambda: interop.View.__dlpack_c_exchange_api__,
    "a consumed capsule": consumed,
}


def with_option(call: Callable[..., Any], option: str) -> Callable[[Any], Any]:
    return lambda x: call(np.ones(2), "torch", **{option: x})


def use(x: Any) -> None:
    with interop.use_stream(x):
        pass


#: Every public function, and each of its arguments, with a hostile object there.
CALLS: dict[str, Callable[[Any], Any]] = {
    "convert(x)": lambda x: interop.convert(x, "numpy"),
    "convert(x), a view": lambda x: interop.convert(x, "torch", copy=False),
    "convert(, x)": lambda x: interop.convert(np.ones(2), x),
    **{
        name: getattr(interop, name)
        for name in ("to_numpy", "to_torch", "to_cupy", "view", "framework", "device", "dtype")
    },
    "to_torch(x), of the caller's word": lambda x: interop.to_torch(x, writable=False, detach=True, copy=True),
    "explain(x)": lambda x: str(interop.explain(x, "numpy")),
    "explain(, x)": lambda x: str(interop.explain(np.ones(2), x)),
    "convert_like(x, )": lambda x: interop.convert_like(x, torch.ones(1)),
    "convert_like(, x)": lambda x: interop.convert_like(np.ones(2), x),
    "copyto(x, )": lambda x: interop.copyto(x, np.ones(2)),
    "copyto(, x)": lambda x: interop.copyto(np.zeros(2), x),
    "copyto(, , casting=x)": lambda x: interop.copyto(np.zeros(2), np.ones(2), casting=x),
    "shares_memory(x, )": lambda x: interop.shares_memory(x, np.ones(2)),
    "shares_memory(, x)": lambda x: interop.shares_memory(np.ones(2), x),
    "shares_memory(x, x)": lambda x: interop.shares_memory(x, x),
    "DType(x)": interop.DType,
    "DType.matches(x)": interop.DType("float32").matches,
    "Device(x)": interop.Device,
    "Device.matches(x)": interop.Device("cpu").matches,
    **{
        f"{call.__name__}(, {option}=x)": with_option(call, option)
        for call in (interop.convert, interop.explain)
        for option in ("device", "dtype", "order", "copy", "writable", "detach", "stream")
    },
    "to_numpy(, order=x)": lambda x: interop.to_numpy(torch.ones(2), order=x),
    "to_numpy(, dtype=x)": lambda x: interop.to_numpy(torch.ones(2), dtype=x),
    "convert_like(, , device=x)": lambda x: interop.convert_like(np.ones(2), torch.ones(1), device=x),
    "view(, stream=x)": lambda x: interop.view(np.ones(2), stream=x),
    "empty_aligned(x)": interop.empty_aligned,
    "empty_aligned(, x)": lambda x: interop.empty_aligned(2, x),
    "empty_aligned(, , order=x)": lambda x: interop.empty_aligned(2, "int8", order=x),
    "empty_aligned(, , alignment=x)": lambda x: interop.empty_aligned(2, "int8", alignment=x),
    "current_stream(x)": interop.current_stream,
    "current_stream(, x)": lambda x: interop.current_stream("torch", x),
    "use_stream(x)": use,
    "register(x)": interop.register,
}

#: What an error says at most, whatever it was given.
MOST = 5000


def outcome(call: Callable[[Any], Any], x: Any) -> str:
    """A result or one of our errors, and nothing else."""
    try:
        call(x)
    except interop.InteropError as err:
        text = str(err)
        assert len(text) <= MOST, text[:200]
        return type(err).__name__
    return "a result"


def content(x: Any) -> Any:
    """What is in a container, read by its base's own methods."""
    for base in (dict, list, tuple, str):
        if issubclass(type(x), base):
            return base.__repr__(x)
    return None


def ask_everything(name: str) -> None:
    """Every call ends in a result or in our error, and leaves what was passed as it was."""
    for call in CALLS.values():
        x = HOSTILE[name]()
        before = content(x)
        outcome(call, x)
        assert content(x) == before


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_is_passed_ends_in_a_result_or_in_our_error(name: str) -> None:
    ask_everything(name)


@pytest.mark.usefixtures("types_die")
def test_nothing_of_it_is_kept_alive() -> None:
    left: list[weakref.ref[Any]] = []
    MADE.clear()
    for make in HOSTILE.values():
        for call in CALLS.values():
            x = make()
            outcome(call, x)
            if x is not make():
                with contextlib.suppress(TypeError):  # not all can be referred to weakly
                    left.append(weakref.ref(x))
            del x
    assert left
    gc.collect()
    assert not [alive for alive in (ref() for ref in (*left, *MADE)) if alive is not None]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        *(
            ("__dlpack__ raises", call)
            for call in ("convert(x)", "view", "device", "shares_memory(x, )", "copyto(, x)")
        ),
        *(("__dlpack_device__ raises", call) for call in ("to_torch", "view", "device")),
        *(("__array_interface__ raises", call) for call in ("to_numpy", "view", "dtype", "copyto(x, )")),
        ("__array_namespace__", "framework"),
        ("a tensor without a dtype", "to_numpy"),
        ("__cuda_stream__", "view(, stream=x)"),
        ("__hash__", "DType(x)"),
        ("a released memoryview", "DType(x)"),
        ("a released memoryview", "convert(, dtype=x)"),
        ("a module that raises", "convert(, x)"),
    ],
)
def test_what_the_object_raised_is_the_cause(name: str, call: str) -> None:
    x = HOSTILE[name]()
    with pytest.raises(interop.InteropError) as caught:
        CALLS[call](x)
    chain, each = [], caught.value.__cause__
    while each is not None:
        chain.append(type(each))
        each = each.__cause__
    assert (ValueError if name == "a released memoryview" else Foreign) in chain


def test_a_failed_plan_holds_nothing_of_what_was_passed() -> None:
    x = HOSTILE["__dlpack_device__ raises"]()
    gone = weakref.ref(x)
    plan = interop.explain(x, "numpy")
    assert isinstance(plan.error, interop.DeviceError)
    assert plan.error.__cause__ is None
    assert "Foreign" in str(plan.error)
    del x
    assert gone() is None


@pytest.mark.parametrize("option", ["order", "copy", "writable", "detach", "device", "dtype", "stream"])
def test_options_are_checked_by_type_before_they_are_compared(option: str) -> None:
    values: tuple[Any, ...] = (np.ones(2), torch.ones(2), np.array("C"), [np.ones(2)], (np.ones(2), np.ones(2)))
    for value in values:
        with pytest.raises(interop.InteropError):
            interop.to_numpy(torch.ones(2), **{option: value})


def test_a_string_of_any_class_is_its_characters() -> None:
    for value, option in (("F", "order"), ("float16", "dtype"), ("cpu", "device")):
        text = new_type(str, __eq__=refuse, __hash__=lambda _: 0, __str__=refuse, __repr__=refuse)(value)
        assert interop.to_numpy(torch.ones(2, 2), **{option: text}).shape == (2, 2)
    assert interop.framework(interop.convert(np.ones(2), new_type(str, __hash__=refuse)("torch"))) == "torch"


@pytest.mark.parametrize("call", ["convert", "to_torch", "explain", "view", "copyto", "convert_like"])
def test_a_wrong_keyword_or_none_is_pythons_own_error(call: str) -> None:
    with pytest.raises(TypeError):
        getattr(interop, call)()
    second: dict[str, Any] = {"convert": "torch", "explain": "torch", "copyto": np.ones(2), "convert_like": np.ones(2)}
    with pytest.raises(TypeError, match="unexpected keyword"):
        getattr(interop, call)(np.ones(2), *([second[call]] if call in second else []), nothing=1)


@pytest.mark.parametrize("version", [None, (1, 0)])
def test_no_memory_for_a_views_copy_is_a_buffer_error(version: Any) -> None:
    # More than there is, of one element.
    view = interop.view(np.broadcast_to(np.zeros(1, "u1"), (2**60,)))
    with pytest.raises(BufferError, match="no memory") as caught:
        view.__dlpack__(copy=True, max_version=version)
    assert isinstance(caught.value.__cause__, MemoryError)


@pytest.mark.parametrize("keyword", ["stream", "max_version", "dl_device", "copy"])
def test_what_leaves_a_views_dlpack_is_a_buffer_error(keyword: str) -> None:
    view = interop.view(np.ones(2))
    for make in HOSTILE.values():
        with contextlib.suppress(BufferError):
            view.__dlpack__(**{keyword: make()})


def test_a_device_of_no_build_is_parsed_and_refused_where_it_is_used() -> None:
    assert interop.Device(torch.device("cuda")).type == "cuda"
    assert not interop.Device("cpu").matches(torch.device("meta"))
    if not torch.cuda.is_available():
        for call in (interop.to_torch, interop.to_numpy):
            with pytest.raises(interop.DeviceError, match="cuda:0"):
                call(torch.ones(2), device=torch.device("cuda"))
    with pytest.raises(interop.DeviceError, match="is not a device"):
        interop.to_torch(np.ones(2), device=torch.device("meta"))


#: How a message must not take its words: each runs what somebody else wrote.
UNSAFE = (
    r"type\(\w+\)\.__(qualname|name|module)__",
    r"\btp\.__(qualname|module)__",
    r"\{(err|error)\}",
    r"\bstr\((err|error)\)",
    r"\{(x|dtype|device|told|described|capsule|owner)!r\}",
)

#: Where every object is of a type that its own adapter claims, or the exception is ours.
KNOWN = (
    *("_adapters/_pandas.py", "_adapters/_xarray.py", "_adapters/_scipy.py", "_adapters/_pyarrow.py"),
    *("_adapters/_warp.py", "_adapters/_tensorflow.py", "_adapters/_pillow.py", "_adapters/_polars.py"),
)


def test_messages_take_their_words_from_one_place() -> None:
    root = Path(interop.__file__).parent
    found = []
    for path in sorted((*root.glob("*.py"), *root.glob("_adapters/*.py"), *root.glob("_native/*.pyx"))):
        name = path.relative_to(root).as_posix()
        if name in (*KNOWN, "_words.py"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{name}:{number}: {line.strip()}" for each in UNSAFE if re.search(each, line)]
    assert found == []
