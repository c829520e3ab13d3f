"""The calls that messages name are run on the very object that was refused."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from advice import calls, follow
from hypothesis import given
from hypothesis import strategies as st
from toys import EVERYTHING, ToyFramework, registered

import interop
from interop.protocols import Limits


def objects(*elements: Any) -> np.ndarray[Any, Any]:
    made = np.empty(len(elements), object)
    made[:] = list(elements)
    return made


class Sparse:
    """As pydata's sparse arrays are: numpy.asarray() refuses them."""

    def __array__(self, *_arguments: Any, **_options: Any) -> Any:
        msg = "cannot be made dense by itself"
        raise RuntimeError(msg)

    def todense(self) -> Any:
        return np.eye(2)


class Dense:
    def __array__(self, *_arguments: Any, **_options: Any) -> Any:
        return np.eye(2)


class Tagged(np.ndarray[Any, Any]):
    """A subclass that may mean more than its numbers."""

    def __array_finalize__(self, obj: Any, /) -> None:
        self.unit = "m"


def freed() -> torch.Tensor:
    t = torch.ones(4)
    t.untyped_storage().resize_(0)
    return t


def shrunk() -> torch.Tensor:
    t = torch.ones(4)
    t.untyped_storage().resize_(8)
    return t


STRUCTURE = [("name", "U3"), ("when", "M8[s]"), ("at", "f4", 2)]

#: What is no tensor, and has a call that makes one.
MADE: dict[str, Callable[[], Any]] = {
    "datetimes": lambda: np.zeros(2, "M8[s]"),
    "datetimes of another byte order": lambda: np.array(["2020-01-01", "NaT"], ">M8[s]"),
    "a datetime": lambda: np.datetime64(1, "s"),
    "a timedelta": lambda: np.array(5, "m8[ms]"),
    "long doubles": lambda: np.ones(2, "g"),
    "complex long doubles": lambda: np.ones(2, "G"),
    "a long double": lambda: np.longdouble(1),
    "bytes without a meaning": lambda: np.zeros(2, "V4"),
    "bytes with gaps": lambda: np.zeros((2, 4), "V4")[:, ::2],
    "bytes without axes": lambda: np.zeros((), "V4"),
    "a scalar of bytes": lambda: np.void(b"abcd"),
    "structures": lambda: np.zeros(2, STRUCTURE),
    "a structure": lambda: np.zeros(2, STRUCTURE)[0],
    "structures in structures": lambda: np.zeros(2, [("a", [("b", "i4")])]),
    "objects that are ints": lambda: objects(1, 2),
    "objects that are bools": lambda: objects(True, False),
    "objects that are large ints": lambda: objects(1, 2**70),
    "objects that are numbers and None": lambda: objects(1.5, None),
    "objects that are decimals": lambda: objects(Decimal("1.5"), Fraction(1, 3), 2),
    "objects that are complex": lambda: objects(1j, 2),
    "a matrix of objects": lambda: np.array([[1, 2.5]], object),
    "an object": lambda: np.array(5, object),
    "objects that are arrays": lambda: objects(np.ones(3), np.zeros(3)),
    "objects that are tensors": lambda: objects(torch.ones(3), torch.zeros(3)),
    "objects that are lists": lambda: objects([1, 2], [3, 4]),
    "objects that are arrays of several shapes": lambda: objects(np.ones(3), np.zeros(2)),
    "masked": lambda: np.ma.array([1, 2], mask=[False, True]),
    "masked datetimes": lambda: np.ma.array(np.zeros(2, "M8[s]"), mask=[False, True]),
    "the masked value": lambda: np.ma.masked,
    "a subclass": lambda: np.zeros(2).view(Tagged),
    "a subclass of datetimes": lambda: np.zeros(2, "M8[s]").view(Tagged),
    "a list of tensors": lambda: [torch.ones(2, dtype=torch.bfloat16)] * 2,
    "a list of parameters": lambda: [torch.ones(2, requires_grad=True)] * 2,
    "a tuple of arrays": lambda: (np.ones(2), np.zeros(2)),
    "a list of arrays of several shapes": lambda: [np.ones(2), np.zeros(3)],
    "a dict of arrays": lambda: {"a": np.ones(2)},
    "a list of numbers": lambda: [1, 2.5],
    "lists of numbers": lambda: [[1, 2], (3, 4)],
    "an empty list": list,
    "a number": lambda: 3.5,
    "a sparse array": Sparse,
    "an array by __array__": Dense,
    "a sparse tensor": lambda: torch.eye(2).to_sparse(),
    "a sparse tensor in rows": lambda: torch.eye(2).to_sparse_csr(),
    "a nested tensor": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
    "a tensor beyond its storage": shrunk,
}

#: What has none: only who knows what it means can make numbers of it.
NOTHING: dict[str, Callable[[], Any]] = {
    "strings": lambda: np.array(["a"]),
    "objects that are strings": lambda: objects("a", "b"),
    "objects that are lists of several lengths": lambda: objects([1, 2], [3]),
    "a string": lambda: "a",
    "a list of strings": lambda: ["a", "b"],
    "a list of numbers and None": lambda: [1, None],
    "lists of several lengths": lambda: [[1, 2], [3]],
    "an int that no element holds": lambda: 2**70,
    "a dict of strings": lambda: {"a": "b"},
    "nothing": lambda: None,
    "an object of nobody's": object,
    "freed memory": freed,
}


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("kind", MADE)
def test_what_is_no_tensor_is_refused_with_a_call_that_makes_one(kind: str, to: str) -> None:
    x = MADE[kind]()
    error = interop.explain(x, to).error
    if error is None:
        # A framework's own objects are its own, whatever they hold.
        assert interop.convert(x, to) is x
        return
    assert follow(x, to, {}, error)


@pytest.mark.parametrize("kind", NOTHING)
def test_where_no_call_helps_none_is_named(kind: str) -> None:
    error = interop.explain(NOTHING[kind](), "torch" if kind != "freed memory" else "numpy").error
    assert isinstance(error, interop.UnsupportedError)
    assert not [*calls(str(error))]


def test_a_freed_storage_is_not_advised_to_be_zeros() -> None:
    with pytest.raises(interop.UnsupportedError, match="its storage was freed") as caught:
        interop.to_numpy(freed())
    assert "zeros" not in str(caught.value)


def test_what_rounds_says_so_and_what_loses_nothing_is_named_before() -> None:
    target = ToyFramework("narrow", Limits(frozenset({"float16", "float32", "int32", "int16", "uint8", "complex64"})))
    said = {
        "float64": "dtype='float32') rounds",
        "int64": "dtype='int32') wraps",
        "uint16": "dtype='int32') converts",
        "int8": "dtype='int16') converts",
        "bool": "dtype='uint8') converts",
        "complex128": "dtype='complex64') rounds",
        "bfloat16": "dtype='float32') converts",
        "float8_e4m3fn": "dtype='float32') converts",
    }
    with registered(target):
        for name, words in said.items():
            x = np.ones(2, getattr(ml_dtypes, name, name))
            with pytest.raises(interop.DTypeError) as caught:
                interop.convert(x, "narrow")
            assert words in str(caught.value)
            assert follow(x, "narrow", {})


def test_where_no_element_type_helps_the_bytes_are_named() -> None:
    """A source that can't cast, and a target that can't read it."""
    opaque = Limits(frozenset({"float6_e2m3fn"}))
    source, target = ToyFramework("codes", opaque), ToyFramework("bytes", Limits(frozenset({"uint8"})))
    with registered(source, target):
        x = source.array(np.ones((2, 3), ml_dtypes.float6_e2m3fn))
        with pytest.raises(interop.DTypeError, match=r"interop\.view\(x\)\.bytes.* hands over the raw bytes") as caught:
            interop.convert(x, "bytes", dtype="float6_e2m3fn")
        assert follow(x, "bytes", {}, caught.value)


def quantized() -> torch.Tensor:
    with warnings.catch_warnings(action="ignore"):
        return torch.quantize_per_tensor(torch.ones(2, 3), 0.5, 0, torch.qint8)


SOURCES: dict[str, Callable[[], Any]] = {
    "an array": lambda: np.ones((2, 3), "f4"),
    "a readonly array": lambda: np.broadcast_to(np.float32(1), (2, 3)),
    "reversed": lambda: np.ones((2, 3))[::-1],
    "of another byte order": lambda: np.ones((2, 3), ">i4"),
    "one field": lambda: np.zeros((2, 3), [("a", "u1"), ("b", "f4")])["b"],
    "complex": lambda: np.ones((2, 3), "c8"),
    "bfloat16": lambda: np.ones((2, 3), ml_dtypes.bfloat16),
    "a scalar": lambda: np.float64(1),
    "bytes": lambda: b"abcdef",
    "a ctypes array": ctypes.c_double * 6,
    "a View": lambda: interop.view(np.ones((2, 3))),
    "a capsule": lambda: interop.view(np.ones((2, 3))).__dlpack__(max_version=(1, 0)),
    "a tensor": lambda: torch.ones(2, 3),
    "a parameter": lambda: torch.ones(2, 3, requires_grad=True),
    "a conjugate": lambda: torch.ones(2, 3, dtype=torch.complex64).conj(),
    "a negative": lambda: torch.ones(2, 3, dtype=torch.complex64).conj().imag,
    "half complex": lambda: torch.ones(2, 3, dtype=torch.complex64).to(torch.complex32),
    "quantized": quantized,
    "expanded": lambda: torch.ones(1, 3).expand(2, 3),
    "a tensor of bools": lambda: torch.ones(2, 3) > 0,
}

#: Targets that lack something, each of them something else.
TARGETS: dict[str, Limits] = {
    "numpy": Limits(EVERYTHING),
    "torch": Limits(EVERYTHING),
    "c": Limits(EVERYTHING, strides="c"),
    "small": Limits(frozenset({"float32", "int32", "complex64", "uint8"}), strides="dense", readonly="drops"),
    "constant": Limits(EVERYTHING, immutable=True, alignment=64),
    "own": Limits(EVERYTHING, own=EVERYTHING, readonly="drops"),
    "cube": Limits(EVERYTHING, min_ndim=3, max_ndim=3),
    "line": Limits(frozenset({"float32", "float64", "complex64"}), max_ndim=1),
}

#: What isn't known before it is exported, when the device that was asked for has been refused.
OPENED = frozenset({"bytes", "a ctypes array", "a capsule"})

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "float64", "int8", "complex64", "bool", "bfloat16", "nearest"]),
        "order": st.sampled_from("CF"),
        "copy": st.booleans(),
        "writable": st.booleans(),
        "detach": st.booleans(),
        "device": st.sampled_from(["cpu", "cuda:7"]),
    },
)


@pytest.mark.filterwarnings("ignore:ComplexHalf", "ignore:.*[Qq]uantiz")
@pytest.mark.parametrize("kind", SOURCES)
@given(st.sampled_from([*TARGETS]), OPTIONS)
def test_every_call_that_a_refusal_names_works(kind: str, to: str, options: dict[str, Any]) -> None:
    toys = [ToyFramework(name, limits) for name, limits in TARGETS.items() if name not in ("numpy", "torch")]
    with registered(*toys):
        x = SOURCES[kind]()
        if kind in OPENED:
            options.pop("device", None)
        error = interop.explain(x, to, **options).error
        if error is not None:
            assert follow(x, to, options, error) or "Name a device" in str(error), error


@pytest.mark.filterwarnings("ignore:ComplexHalf", "ignore:.*[Qq]uantiz")
@pytest.mark.parametrize("kind", SOURCES)
def test_every_call_that_view_names_works(kind: str) -> None:
    x = SOURCES[kind]()
    error = None
    try:
        interop.view(x)
    except interop.InteropError as refused:
        error = refused
    assert error is None or follow(x, "numpy", {}, error)
