"""Producers that speak DLPack's C exchange API and nothing else, with the C functions written in ctypes.

The API hangs on the type and lives as long as the process, so each variant is a type of its own.
"""

from __future__ import annotations

import ctypes
from copy import copy
from ctypes import CFUNCTYPE, POINTER, addressof, c_char_p, c_int, c_int32, c_void_p, cast, py_object
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from interop._dtypes import BY_TRIPLE
from interop.testing._capsules import (
    EXCHANGE,
    DLManagedTensorVersioned,
    DLPackExchangeAPI,
    DLPackExchangeAPIHeader,
    DLPackVersion,
    DLTensor,
    capsule_new,
    describe,
    fill_tensor,
    incref,
    read_tensor,
    static_name,
)
from interop.testing.fakes import _ledger
from interop.testing.fakes._base import Array, DLPackFake
from interop.testing.fakes._consumer import Consumed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Unpack

    from interop.testing._capsules import Overrides

#: The attribute's name in DLPack 1.3, and the one that was in use before.
SPELLINGS: Final = ("__dlpack_c_exchange_api__", "__c_dlpack_exchange_api__")

_OUT = POINTER(c_void_p)
_SET_ERROR = CFUNCTYPE(None, c_void_p, c_char_p, c_char_p)
# What C holds for the rest of the process: APIs, and the callbacks that they point to.
_static: Final[list[Any]] = []


class ExchangeFake(DLPackFake):
    """What the types with an exchange API share; :class:`ExchangeProducer` is the plain one.

    Attributes
    ----------
    array
        The memory; of what came through the API, memory of somebody else, whose deleter runs when this object ends.
    calls
        Names of the API's functions in the order in which they were called on this object.
    work_stream
        What the type says its current stream is.
    """

    work_stream: ClassVar[int] = 0

    def __init__(self, array: Array, **overrides: Unpack[Overrides]) -> None:
        super().__init__(array, **overrides)
        self.calls: list[str] = []
        self._borrowed: list[Any] = []

    @classmethod
    def received(cls, array: Array) -> Self:
        """Return an object on memory that came through the API."""
        return cls(array)

    def lend(self, tensor: DLTensor) -> None:
        """Fill a tensor that the caller has; what it points to lives as long as this object."""
        self.calls.append("dltensor_from_py_object_no_sync")
        self._borrowed.append(fill_tensor(tensor, self.fields))

    def give(self) -> int:
        """Return the address of a managed tensor that the caller owns."""
        self.calls.append("managed_tensor_from_py_object_no_sync")
        return _ledger.export(self.fields, self.array, self._tally)


def _from_object(fake: ExchangeFake, out: Any) -> int:
    out[0] = fake.give()
    return 0


def _lend(fake: ExchangeFake, out: Any) -> int:
    fake.lend(out[0])
    return 0


def _to_object_of(cls: type[ExchangeFake]) -> Callable[[int, Any], int]:
    def to_object(address: int, out: Any) -> int:
        tensor = Consumed(DLManagedTensorVersioned.from_address(address))
        made = cls.received(tensor.array())
        incref(made)
        out[0] = id(made)
        return 0

    return to_object


def _stream_of(cls: type[ExchangeFake]) -> Callable[[int, int, Any], int]:
    def work_stream(_type: int, _index: int, out: Any) -> int:
        out[0] = cls.work_stream
        return 0

    return work_stream


def _allocate(prototype: Any, out: Any, context: int, set_error: Any) -> int:
    asked = read_tensor(prototype[0])
    row = BY_TRIPLE.get(asked.dtype)
    if row is None or row.numpy is None or asked.shape is None or asked.device != (1, 0):
        set_error(context, b"BufferError", f"no memory for {asked}".encode())
        return -1
    memory = np.empty(asked.shape, row.numpy)
    out[0] = _ledger.export(describe(memory), memory, _ledger.Tally())
    return 0


_SIGNATURES: Final[Mapping[str, Any]] = {
    "managed_tensor_allocator": CFUNCTYPE(c_int, POINTER(DLTensor), _OUT, c_void_p, _SET_ERROR),
    "managed_tensor_from_py_object_no_sync": CFUNCTYPE(c_int, py_object, _OUT),
    "managed_tensor_to_py_object_no_sync": CFUNCTYPE(c_int, c_void_p, _OUT),
    "dltensor_from_py_object_no_sync": CFUNCTYPE(c_int, py_object, POINTER(DLTensor)),
    "current_work_stream": CFUNCTYPE(c_int, c_int32, c_int32, _OUT),
}


def _functions_of(cls: type[ExchangeFake]) -> dict[str, Callable[..., int]]:
    return {
        "managed_tensor_allocator": _allocate,
        "managed_tensor_from_py_object_no_sync": _from_object,
        "managed_tensor_to_py_object_no_sync": _to_object_of(cls),
        "dltensor_from_py_object_no_sync": _lend,
        "current_work_stream": _stream_of(cls),
    }


# A C function of one object that returns -1 with an error set, the one that the object's fileno() raised. A ctypes
# callback can't set errors, so a failing export borrows CPython's own function, which ignores the second argument.
_RAISES: Final = cast(ctypes.pythonapi.PyObject_AsFileDescriptor, c_void_p).value
_EXPORTS: Final = ("managed_tensor_from_py_object_no_sync", "dltensor_from_py_object_no_sync")


def _new_api(
    cls: type[ExchangeFake], version: tuple[int, int], missing: Collection[str], *, raises: bool
) -> DLPackExchangeAPI:
    api = DLPackExchangeAPI(header=DLPackExchangeAPIHeader(version=DLPackVersion(*version)))
    # Nobody knows the functions of another major version, so whoever calls one gets an error.
    known = _functions_of(cls) if version[0] == 1 else {}
    for name, function in known.items():
        callback = _SIGNATURES[name](function)
        setattr(api, name, cast(callback, c_void_p).value)
        _static.append(callback)
    for name in _EXPORTS if raises or not known else ():
        setattr(api, name, _RAISES)
    for name in missing:
        setattr(api, name, None)
    _static.append(api)
    return api


def _install(
    cls: type[ExchangeFake],
    *,
    spelling: str = SPELLINGS[0],
    versions: Sequence[tuple[int, int]] = ((1, 3),),
    missing: Collection[str] = (),
    raises: BaseException | None = None,
    form: Callable[[int], object] = lambda address: capsule_new(address, static_name(EXCHANGE), None),
) -> None:
    if raises is not None:
        cls.fileno = lambda _: _throw(raises)  # type: ignore[attr-defined]
    previous = None
    for version in reversed(versions):
        api = _new_api(cls, version, missing, raises=raises is not None)
        api.header.prev_api, previous = previous, addressof(api)
    assert previous is not None
    setattr(cls, spelling, form(previous))


def _throw(error: BaseException) -> int:
    raise copy(error)


class ExchangeProducer(ExchangeFake):
    """Host memory behind DLPack 1.3's C exchange API; what is handed to its type becomes another of its kind.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import ExchangeProducer
    >>> fake = ExchangeProducer(np.arange(3))
    >>> type(fake).__dlpack_c_exchange_api__  # doctest: +ELLIPSIS
    <capsule object "dlpack_exchange_api" at ...>
    """

    __dlpack_c_exchange_api__: ClassVar[Any]


_install(ExchangeProducer)


def exchange_type(name: str, **options: Any) -> type[ExchangeFake]:
    """Return a new type with an exchange API of its own, both of which live as long as the process.

    Parameters
    ----------
    name
        The type's name.
    **options
        ``spelling``: the attribute's name. ``versions``: that of the API, then those that its ``prev_api`` leads to;
        the functions of another major version than 1 fail. ``missing``: functions that are NULL. ``raises``: what
        exporting raises. ``form``: from the API's address to the attribute's value.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import exchange_type
    >>> Old = exchange_type("Old", spelling="__c_dlpack_exchange_api__", form=int)
    >>> type(Old(np.arange(3)).__c_dlpack_exchange_api__)
    <class 'int'>
    """
    made = type(name, (ExchangeFake,), {})
    _install(made, **options)
    return made


#: Types whose exchange API every consumer that knows DLPack 1.3 can use, by what is unusual about them.
EXCHANGE_TYPES: Final[Mapping[str, type[ExchangeFake]]] = MappingProxyType(
    {
        "1.3": ExchangeProducer,
        "1.9": exchange_type("NewerMinor", versions=((1, 9),)),
        "older spelling": exchange_type("OlderSpelling", spelling=SPELLINGS[1]),
        "older spelling, an address": exchange_type("OlderAddress", spelling=SPELLINGS[1], form=int),
        "2.0 before 1.3": exchange_type("NewerMajor", versions=((2, 0), (1, 3))),
        "3.0, 2.0 before 1.3": exchange_type("NewerMajors", versions=((3, 0), (2, 0), (1, 3))),
        "no lending": exchange_type("NoLending", missing=("dltensor_from_py_object_no_sync",)),
        "export only": exchange_type("ExportOnly", missing=(*_SIGNATURES.keys() - _EXPORTS,)),
    }
)

#: Types whose exchange API nobody can use.
MALFORMED_EXCHANGE_TYPES: Final[Mapping[str, type[ExchangeFake]]] = MappingProxyType(
    {
        "2.0 only": exchange_type("MajorTwo", versions=((2, 0),)),
        "0.8": exchange_type("MajorZero", versions=((0, 8),)),
        "a capsule of another name": exchange_type(
            "OtherName", form=lambda address: capsule_new(address, static_name(b"dltensor"), None)
        ),
        "None": exchange_type("NoneAPI", form=lambda _: None),
        "address 0": exchange_type("AddressZero", spelling=SPELLINGS[1], form=lambda _: 0),
        "a negative address": exchange_type("NegativeAddress", spelling=SPELLINGS[1], form=lambda _: -8),
        "a string": exchange_type("StringAPI", form=lambda _: "dlpack_exchange_api"),
        "no export": exchange_type("NoExport", missing=_EXPORTS),
        "raises": exchange_type("RaisingExchange", raises=RuntimeError("no export today")),
    }
)
