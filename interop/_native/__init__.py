"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, ndarrays, recipes, trees.

It knows protocols, not frameworks; it plans nothing and waits for nothing.
"""

# Compiled, so that pyright sees no module; it fills in View's own exchange API.
from interop._native import _exchange as _exchange  # pyright: ignore[reportAttributeAccessIssue]
from interop._native._apart import Apart, called_from, run_apart_by
from interop._native._book import Book
from interop._native._buffer_reader import BufferReader
from interop._native._doors import Door, called_natively, convert_door, copyto_door, door, like_door, of_kind
from interop._native._exchange_reader import ExchangeReader
from interop._native._filling import fill_ndarray, fill_view
from interop._native._guarding import (
    Event,
    Guard,
    GuardedCall,
    guard_process,
    implied,
    is_guarded,
    note,
    permit,
    settled,
)
from interop._native._handover import ArrayMove, ExchangeMove, Handover
from interop._native._import import ExchangeAPI, peek_capsule, view_from_capsule
from interop._native._interfaces import (
    has_buffer,
    view_from_array_interface,
    view_from_buffer,
    view_from_cuda_array_interface,
)
from interop._native._keeping import Keeper
from interop._native._lending import ArrayLender, ArrayTaker, ExchangeLender, ExchangeTaker, Lender, Taker
from interop._native._loans import FORKED, CalledStreams, CurrentStream, ExchangeStreams, Loan, Streams
from interop._native._lookup import find
from interop._native._making import make_view
from interop._native._ndarray import lasting, ndarray_from_view, view_from_ndarray
from interop._native._negotiate import order, view_from_dlpack
from interop._native._ops import (
    CallOp,
    CopyToExchangeOp,
    CopyToNdarrayOp,
    FeedOp,
    KeepOp,
    Op,
    ReadOp,
    SmallOp,
    ToExchangeOp,
    ToNdarrayOp,
    ToViewOp,
)
from interop._native._plain import Named, PlainArrays, PlainTensors
from interop._native._questions import Cell, Flag, Guards, Switch
from interop._native._readers import CallReader, NdarrayReader, Reader, ViewReader
from interop._native._recipes import Entry, Recipe, add_readers, forget_recipes
from interop._native._shortcuts import NumpyCall, Shortcut
from interop._native._trees import CONTAINER, KEEP, LEAF, CycleError, RebuildError, Walk, all_answer, convert_all
from interop._native._via import FOREIGN, OWN, PASS, SCALAR, SLOW, Via, call_slowly, forget_types, keep_vectorcall
from interop._native._view import View
from interop._native._writes import ExchangeWriter, NdarrayWriter, Writer, Writes

__all__ = [
    "CONTAINER",
    "FOREIGN",
    "FORKED",
    "KEEP",
    "LEAF",
    "OWN",
    "PASS",
    "SCALAR",
    "SLOW",
    "Apart",
    "ArrayLender",
    "ArrayMove",
    "ArrayTaker",
    "Book",
    "BufferReader",
    "CallOp",
    "CallReader",
    "CalledStreams",
    "Cell",
    "CopyToExchangeOp",
    "CopyToNdarrayOp",
    "CurrentStream",
    "CycleError",
    "Door",
    "Entry",
    "Event",
    "ExchangeAPI",
    "ExchangeLender",
    "ExchangeMove",
    "ExchangeReader",
    "ExchangeStreams",
    "ExchangeTaker",
    "ExchangeWriter",
    "FeedOp",
    "Flag",
    "Guard",
    "GuardedCall",
    "Guards",
    "Handover",
    "KeepOp",
    "Keeper",
    "Lender",
    "Loan",
    "Named",
    "NdarrayReader",
    "NdarrayWriter",
    "NumpyCall",
    "Op",
    "PlainArrays",
    "PlainTensors",
    "ReadOp",
    "Reader",
    "RebuildError",
    "Recipe",
    "Shortcut",
    "SmallOp",
    "Streams",
    "Switch",
    "Taker",
    "ToExchangeOp",
    "ToNdarrayOp",
    "ToViewOp",
    "Via",
    "View",
    "ViewReader",
    "Walk",
    "Writer",
    "Writes",
    "add_readers",
    "all_answer",
    "call_slowly",
    "called_from",
    "called_natively",
    "convert_all",
    "convert_door",
    "copyto_door",
    "door",
    "fill_ndarray",
    "fill_view",
    "find",
    "forget_recipes",
    "forget_types",
    "guard_process",
    "has_buffer",
    "implied",
    "is_guarded",
    "keep_vectorcall",
    "lasting",
    "like_door",
    "make_view",
    "ndarray_from_view",
    "note",
    "of_kind",
    "order",
    "peek_capsule",
    "permit",
    "run_apart_by",
    "settled",
    "view_from_array_interface",
    "view_from_buffer",
    "view_from_capsule",
    "view_from_cuda_array_interface",
    "view_from_dlpack",
    "view_from_ndarray",
]
