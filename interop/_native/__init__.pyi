"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, buffers."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Final, NamedTuple, Self, TypeVar

import numpy as np
from typing_extensions import Buffer, CapsuleType

from interop._devices import Device
from interop._dtypes import DType
from interop._typed import Convert

_D = TypeVar("_D", bound=Door)
_F = TypeVar("_F", bound=Callable[..., Any])

FORKED: Final[str]

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
    def promised(self) -> bool: ...
    @property
    def byte_offset(self) -> int: ...
    def with_readonly(self, readonly: bool = True, /, *, promised: bool = False) -> View: ...
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

def peek_capsule(capsule: CapsuleType, /, *, legacy_readonly: bool = True) -> View: ...
def view_from_capsule(capsule: CapsuleType, /, *, ordered: bool = True, legacy_readonly: bool = True) -> View: ...
def view_from_dlpack(
    x: Any,
    /,
    *,
    stream: Any = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
    legacy_readonly: bool = True,
) -> View: ...
def order(x: Any, stream: int | None, /) -> CapsuleType: ...
def view_from_array_interface(x: Any, /) -> View | np.ndarray[Any, Any]: ...
def view_from_cuda_array_interface(x: Any, /, *, device_index: int = 0) -> tuple[View, int | None]: ...
def view_from_buffer(x: Any, /) -> View | np.ndarray[Any, Any]: ...
def view_from_ndarray(array: np.ndarray[Any, Any], /) -> View: ...
def fill_view(into: View, values: View, /) -> bool: ...
def fill_ndarray(into: np.ndarray[Any, Any], values: np.ndarray[Any, Any], /) -> bool: ...
def lasting(array: np.ndarray[Any, Any], /) -> np.ndarray[Any, Any]: ...
def ndarray_from_view(view: View, /) -> np.ndarray[Any, Any]: ...
def has_buffer(tp: type, /) -> bool: ...
def find(tp: type, name: str) -> Any: ...

class Shortcut:
    @property
    def predicted(self) -> bool: ...
    def __call__(self, x: Any, /) -> Any: ...

class NumpyCall(Shortcut):
    def __init__(
        self,
        *,
        call: Callable[[Any], np.ndarray[Any, Any]],
        address: Callable[[Any], int],
        reader: Reader,
        cell: Cell,
        before: Guards,
        requires_grad: object,
        recording: Callable[[], object],
        api: ExchangeAPI | None = None,
        keeper: Keeper | None = None,
        record: Callable[[bool], None] | None = None,
        dtype: object = None,
        wanted: object = None,
        contiguous: Callable[[Any], bool] | None = None,
        readonly: bool = False,
    ) -> None: ...

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
    def can_copy(self, into: View, view: View, /) -> bool: ...
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

class Reader: ...
class NdarrayReader(Reader): ...
class ViewReader(Reader): ...
class BufferReader(Reader): ...

class CallReader(Reader):
    def __init__(self, show: Callable[[Any], Any], /) -> None: ...

class ExchangeReader(Reader):
    def __init__(
        self,
        api: ExchangeAPI,
        *,
        keeper: Keeper,
        made: type,
        state: Guards,
        requires_grad: object,
        is_negative: Callable[[Any], object],
        is_conjugate: Callable[[Any], object],
        is_host: object,
        dtype: object,
        byte_dtypes: tuple[object, ...],
        call: Callable[[Any], object],
        disguised: Mapping[Any, object],
        reinterpret: Callable[[Any, Any], Any],
        recording: Callable[[], object],
        record: Callable[[bool], object],
    ) -> None: ...

class Op: ...
class KeepOp(Op): ...

class CallOp(Op):
    def __init__(self, function: Callable[[Any], Any], /) -> None: ...

class SmallOp(Op): ...

class ReadOp(Op):
    def __init__(self, reader: Reader, /, *, fresh: bool = True) -> None: ...

class ToNdarrayOp(Op):
    def __init__(self, *, readonly: bool = False) -> None: ...

class ToViewOp(Op): ...

class FeedOp(Op):
    def __init__(self, copy: Callable[[Any], Any], take: Callable[[Any], Any], /) -> None: ...

class ToExchangeOp(Op):
    def __init__(self, api: ExchangeAPI, state: Guards, /) -> None: ...

class CopyToNdarrayOp(Op):
    def __init__(
        self,
        *,
        order: str | None = None,
        dtype: np.dtype[Any] | None = None,
        quiet: Callable[[], AbstractContextManager[object]] | None = None,
        readonly: bool = False,
    ) -> None: ...

class CopyToExchangeOp(Op):
    def __init__(self, api: ExchangeAPI, state: Guards, made: type, /) -> None: ...

class Recipe:
    plan: Any
    ops: tuple[Op, ...]
    aliases: bool
    def __init__(self, plan: object, ops: tuple[Op, ...] = (), *, aliases: bool = False) -> None: ...

class Entry:
    def __init__(
        self,
        reader: Reader,
        plan: Callable[[Any], tuple[Any, Recipe | None]] | None,
        /,
        *,
        keeps: bool = False,
        shortcuts: tuple[Shortcut, ...] = (),
        aligned_64: bool = False,
    ) -> None: ...
    def known(self, x: Any, /) -> Recipe | None: ...
    def takes(self, x: Any, /) -> bool: ...

class Book:
    def __init__(
        self,
        names: tuple[str, ...],
        flags: tuple[str, ...],
        *,
        parse: Callable[[str, object], object],
        make: Callable[..., Entry | None],
    ) -> None: ...
    def recipe(self, x: Any, target: object, options: dict[str, Any], /) -> Recipe | None: ...

class Writer: ...

class NdarrayWriter(Writer):
    def __init__(self, quiet: Callable[[], AbstractContextManager[object]] | None = None, /) -> None: ...

class ExchangeWriter(Writer):
    def __init__(self, api: ExchangeAPI, copy: Callable[[Any, Any], Any], /) -> None: ...

class Writes:
    def __init__(self, plan: Callable[[Any, Any, Any], Writer | None], /) -> None: ...

def add_readers(framework: str, readers: Mapping[type, Reader], /) -> None: ...
def forget_recipes() -> None: ...

class Named:
    def __init__(self, namespace: Mapping[str, Any], name: str) -> None: ...

class Streams:
    def __call__(self, index: int, /) -> int: ...

class ExchangeStreams(Streams):
    @staticmethod
    def of(api: ExchangeAPI) -> ExchangeStreams | None: ...
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

class Handover(Shortcut):
    def __init__(
        self,
        lend: Callable[[Any, Callable[[int], Any]], Any],
        reader: Callable[[int], Any],
        take: Callable[[View], Any],
    ) -> None: ...

class ExchangeMove(Shortcut):
    def __init__(
        self,
        plain: PlainTensors,
        *,
        dtypes: Iterable[tuple[int, int, int]],
        calls: tuple[Callable[[Any], Any], ...],
        is_host: object,
    ) -> None: ...

class ArrayMove(Shortcut):
    def __init__(self, plain: PlainArrays, *, device: Callable[[], int], move: Callable[[Any], Any]) -> None: ...

class Apart:
    function: Callable[..., Any]
    def __init__(self, function: Callable[..., Any], /) -> None: ...
    def __call__(self, /, *arguments: Any, **options: Any) -> Any: ...

def called_from() -> tuple[FrameType | None, int]: ...
def run_apart_by(runner: Callable[..., Any] | None, /) -> None: ...

class Door:
    __name__: str
    def __call__(self, /, *arguments: Any, **options: Any) -> Any: ...

def called_natively(kind: type[_D], /) -> type[_D]: ...
def of_kind(function: Callable[..., Any], kind: type[_D], /) -> _D: ...
def door(book: Book, target: str, /) -> Callable[[_F], _F]: ...
def convert_door(book: Book, /) -> Callable[[Callable[..., Any]], Convert]: ...
def like_door(book: Book, /) -> Callable[[_F], _F]: ...
def copyto_door(writes: Writes, casting: str, /) -> Callable[[_F], _F]: ...

KEEP: Final[int]
LEAF: Final[int]
CONTAINER: Final[int]

class CycleError(ValueError): ...
class RebuildError(ValueError): ...

class Walk:
    leaves: list[Any]
    def __init__(self, classify: Callable[[Any], tuple[int, Any]]) -> None: ...
    def collect(self, tree: Any) -> list[Any]: ...
    def build(self, tree: Any, results: list[Any]) -> Any: ...

def all_answer(objects: list[Any], ask: Callable[[type], tuple[tuple[Any, Any], ...]]) -> bool: ...
def convert_all(
    function: Callable[..., Any], objects: list[Any], positional: tuple[Any, ...], keywords: dict[str, Any]
) -> list[Any]: ...

PASS: Final[int]
OWN: Final[int]
SLOW: Final[int]
SCALAR: Final[int]
FOREIGN: Final[int]

class Via:
    function: Any
    def __init__(
        self,
        function: Callable[..., Any],
        *,
        classify: Callable[[Any], int],
        come: Callable[[Any], Any],
        backs: dict[int, Callable[[Any], Any]],
        slow: Callable[..., Any],
        slow_back: Callable[..., Any],
        version: Any = None,
        hide: Callable[..., Any] | None = None,
        positions: int = -1,
        names: frozenset[str] | None = None,
    ) -> None: ...

def call_slowly(function: Via, given: tuple[Any, ...], named: dict[str, Any]) -> Any: ...
def forget_types() -> None: ...
def keep_vectorcall(cls: type[Via], /) -> type[Via]: ...

class GuardedCall(NamedTuple):
    where: str
    what: str
    why: str

class Event:
    def __init__(
        self,
        *,
        copied: int = 0,
        moved: int = 0,
        casts: bool = False,
        asked_copy: bool = False,
        asked_move: bool = False,
        asked_cast: bool = False,
        what: str | Callable[[], str] = "",
        why: str | Callable[[], str] = "",
    ) -> None: ...

class Guard:
    copies: int
    moves: int
    casts: int
    bytes: int
    calls: list[GuardedCall]
    def __init__(self, **levels: str | int | None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

def is_guarded() -> bool: ...
def permit(event: Event) -> None: ...
def note(event: Event) -> None: ...
def implied() -> AbstractContextManager[None]: ...
def settled() -> AbstractContextManager[None]: ...
def guard_process(text: str, /) -> None: ...
