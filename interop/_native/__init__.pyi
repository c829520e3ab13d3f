"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, buffers."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeVar

import numpy as np
from typing_extensions import Buffer, CapsuleType

from interop._devices import Device
from interop._dtypes import DType

_F = TypeVar("_F", bound=Callable[..., Any])

class View(Buffer):
    __dlpack_c_exchange_api__: CapsuleType
    __c_dlpack_exchange_api__: CapsuleType
    @property
    def ptr(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> DType: ...
    @property
    def itemsize(self) -> int: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def device(self) -> Device: ...
    @property
    def readonly(self) -> bool: ...
    @property
    def contiguous(self) -> bool: ...
    @property
    def extent(self) -> tuple[int, int]: ...
    @property
    def bytes(self) -> memoryview: ...
    @property
    def owner(self) -> object: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def copied(self) -> bool: ...
    @property
    def byte_offset(self) -> int: ...
    def with_readonly(self, readonly: bool = True, /) -> View: ...
    def with_device(self, device_type: int, device_index: int = 0, /) -> View: ...
    def with_owner(self, owner: object, /, *, ordered: bool | None = None) -> View: ...
    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> CapsuleType: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

def make_view(
    ptr: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: tuple[int, int, int],
    device: tuple[int, int],
    *,
    readonly: bool,
    owner: object,
    ordered: bool = True,
    byte_offset: int = 0,
) -> View: ...

class ExchangeAPI:
    """A type's DLPack C exchange API (DLPack 1.3)."""

    @staticmethod
    def of(tp: type, /, *, deletes_under_lock: bool = False) -> ExchangeAPI | None: ...
    @property
    def version(self) -> tuple[int, int]: ...
    def export(self, x: Any, /) -> View: ...
    def peek(self, x: Any, owner: object, /) -> View: ...
    def wrap(self, view: View, /) -> Any: ...
    def current_work_stream(self, device_type: int, device_index: int, /) -> int: ...

def peek_capsule(capsule: CapsuleType, /) -> View: ...
def view_from_capsule(capsule: CapsuleType, /, *, ordered: bool = True, legacy_readonly: bool = True) -> View: ...
def view_from_dlpack(
    x: Any,
    /,
    *,
    stream: Any = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> View: ...
def view_from_array_interface(x: Any, /) -> View: ...
def view_from_cuda_array_interface(x: Any, /, *, device_index: int = 0) -> tuple[View, int | None]: ...
def view_from_buffer(x: Any, /) -> View: ...
def view_from_ndarray(array: np.ndarray[Any, Any], /) -> View: ...
def lasting(array: np.ndarray[Any, Any], /) -> np.ndarray[Any, Any]: ...
def ndarray_from_view(view: View, /) -> np.ndarray[Any, Any]: ...
def has_buffer(tp: type, /) -> bool: ...
def find(tp: type, name: str) -> Any: ...

class Route:
    @property
    def views_only(self) -> bool: ...
    def __call__(self, x: Any, /) -> Any: ...

class IdentityRoute(Route): ...

class CallRoute(Route):
    def __init__(
        self, function: Callable[[Any], Any], *, views_only: bool = False, copies: Callable[[Any], Any] | None = None
    ) -> None: ...
    def copy(self, x: Any, /) -> Any: ...

class ChainRoute(Route):
    def __init__(self, first: Route, second: Route) -> None: ...

class Cell:
    def __init__(self, namespace: Mapping[str, Any], key: str, wanted: object) -> None: ...

class Switch:
    def __init__(self, address: int, argument: int, /) -> None: ...
    def __call__(self) -> bool: ...

class Flag:
    def __init__(self, address: int, /) -> None: ...
    def __call__(self) -> bool: ...

class Guards:
    def __init__(
        self,
        *,
        attributes: tuple[tuple[Any, object], ...] = (),
        methods: tuple[tuple[Any, object], ...] = (),
        complex_methods: tuple[tuple[Any, object], ...] = (),
        cells: tuple[Cell, ...] = (),
        calls: tuple[tuple[Callable[[], object], object], ...] = (),
    ) -> None: ...

class Keeper:
    def __init__(
        self,
        *,
        owner: Callable[[Any], object],
        start: Callable[[Any], int],
        size: Callable[[Any], int],
        movable: Callable[[Any], bool],
        lock: Callable[[Any], object],
    ) -> None: ...
    def lend(self, api: ExchangeAPI, x: Any, /) -> View: ...
    def keeps(self, view: View, /) -> bool: ...
    def may_move(self, view: View, /) -> bool: ...
    def lock(self, view: View, /) -> bool: ...
    def copy(self, into: View, view: View, /) -> bool: ...
    def copied(self, view: View, /) -> View | None: ...

class PlainTensors:
    def __init__(
        self,
        api: ExchangeAPI,
        *,
        keeper: Keeper,
        guards: Guards,
        dtype: object = None,
        byte_dtypes: tuple[object, ...] = (),
    ) -> None: ...

class ExchangeRoute(Route):
    def __init__(self, plain: PlainTensors) -> None: ...

class NumpyCallRoute(Route):
    def __init__(
        self,
        *,
        call: Callable[[Any], np.ndarray[Any, Any]],
        dtype: object,
        plain: tuple[object, ...],
        disguised: Mapping[Any, tuple[object, np.dtype[Any] | None]],
        reinterpret: Callable[[Any, Any], Any],
        cell: Cell,
        guards: Guards,
        sees: Callable[[], object] | None = None,
        behind: Guards,
        before: Guards,
        address: Callable[[Any], int] | None = None,
        lender: PlainTensors | None = None,
    ) -> None: ...

class NdarrayViewRoute(Route): ...

class NdarrayRoute(Route):
    def __init__(self, api: ExchangeAPI, *, dtypes: Iterable[tuple[int, int, int]], guards: Guards) -> None: ...

class Named:
    def __init__(self, namespace: Mapping[str, Any], name: str) -> None: ...

class Streams:
    def __call__(self, index: int, /) -> int: ...

class ExchangeStreams(Streams):
    def __init__(self, api: ExchangeAPI) -> None: ...

class CalledStreams(Streams):
    def __init__(self, function: Callable[[int], Any], handle: str) -> None: ...

class CurrentStream:
    def __init__(self, streams: Streams, index: int) -> None: ...
    def __call__(self) -> int: ...

class Loan:
    __slots__ = ("asks", "device", "homes", "memory", "readers", "streams")
    postponed: Final[deque[Any]]
    memory: Any
    device: Any
    streams: Any
    homes: tuple[Any, ...]
    readers: tuple[Any, ...]
    asks: bool
    def __init__(
        self,
        memory: object,
        device: object,
        streams: object,
        homes: tuple[int, ...] | None = None,
        readers: tuple[int, ...] = (),
    ) -> None: ...
    def settle_postponed(self) -> None: ...
    def give_back(self) -> None: ...
    @property
    def in_child(self) -> bool: ...
    def stayed_home(self) -> bool: ...

class PlainArrays:
    def __init__(
        self,
        *,
        memory: object,
        shape: object,
        strides: object,
        dtype: object,
        ptr: object,
        index: object,
        dtypes: Mapping[Any, tuple[int, tuple[int, int, int]]],
        kind: Callable[[int], Any],
        device_kind: object,
    ) -> None: ...

class Lender:
    def __call__(self, x: Any, reader: Callable[[int], Any], /) -> Any: ...

class ExchangeLender(Lender):
    def __init__(
        self,
        plain: PlainTensors,
        *,
        loan: type[Loan],
        lender: object,
        streams: Streams,
        own_stream: Named,
        record: Named,
        reusable: Callable[[Any], bool],
    ) -> None: ...

class ArrayLender(Lender):
    def __init__(
        self, plain: PlainArrays, *, loan: type[Loan], lender: object, streams: Streams, works_on: Named
    ) -> None: ...

class Taker:
    def __call__(self, view: View, /) -> Any: ...

class ExchangeTaker(Taker):
    def __init__(
        self, api: ExchangeAPI, *, borrowed: Named, dtypes: Iterable[tuple[int, int, int]], guards: Guards
    ) -> None: ...

class ArrayTaker(Taker):
    def __init__(
        self,
        *,
        borrowed: Named,
        pointer: Callable[[Any, int], Any],
        array: Callable[..., Any],
        dtypes: Mapping[tuple[int, int, int], Any],
        max_ndim: int,
    ) -> None: ...

class HandoverRoute(Route):
    def __init__(
        self,
        lend: Callable[[Any, Callable[[int], Any]], Any],
        reader: Callable[[int], Any],
        take: Callable[[View], Any],
    ) -> None: ...

class ExchangeMoveRoute(Route):
    def __init__(
        self, plain: PlainTensors, *, dtypes: Iterable[tuple[int, int, int]], calls: tuple[Callable[[Any], Any], ...]
    ) -> None: ...

class ArrayMoveRoute(Route):
    def __init__(self, plain: PlainArrays, *, device: Callable[[], int], move: Callable[[Any], Any]) -> None: ...

def hot_routes(target: str, /) -> MutableMapping[type, Route]: ...
def clear_hot_routes() -> None: ...
def door(target: str, /) -> Callable[[_F], _F]: ...
def convert_door(slow: _F, /) -> _F: ...
def view_door(slow: _F, /) -> _F: ...
