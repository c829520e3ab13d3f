"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, ndarrays, hot routes.

It knows protocols, not frameworks; it plans nothing and waits for nothing.
"""

# Compiled, so that pyright sees no module; it fills in View's own exchange API.
from interop._native import _exchange as _exchange  # pyright: ignore[reportAttributeAccessIssue]
from interop._native._doors import convert_door, copyto_door, door, like_door, view_door
from interop._native._filling import fill_ndarray, fill_view
from interop._native._import import ExchangeAPI, peek_capsule, view_from_capsule
from interop._native._interfaces import (
    has_buffer,
    view_from_array_interface,
    view_from_buffer,
    view_from_cuda_array_interface,
)
from interop._native._keeping import Keeper
from interop._native._lending import (
    ArrayLender,
    ArrayMoveRoute,
    ArrayTaker,
    ExchangeLender,
    ExchangeMoveRoute,
    ExchangeTaker,
    HandoverRoute,
    Lender,
    Named,
    PlainArrays,
    Taker,
)
from interop._native._loans import CalledStreams, CurrentStream, ExchangeStreams, Loan, Streams
from interop._native._lookup import find
from interop._native._ndarray import lasting, ndarray_from_view, view_from_ndarray
from interop._native._negotiate import view_from_dlpack
from interop._native._ops import (
    CallOp,
    CopyToExchangeOp,
    CopyToNdarrayOp,
    KeepOp,
    Op,
    ReadOp,
    SmallOp,
    ToExchangeOp,
    ToNdarrayOp,
)
from interop._native._questions import Cell, Flag, Guards, Switch
from interop._native._readers import ExchangeReader, NdarrayReader, Reader, ViewReader
from interop._native._recipes import Book, Entry, Recipe, add_readers, forget_recipes
from interop._native._routes import (
    CallRoute,
    ChainRoute,
    ExchangeRoute,
    IdentityRoute,
    NdarrayRoute,
    NdarrayViewRoute,
    NumpyCallRoute,
    PlainTensors,
    Route,
    clear_hot_routes,
    hot_routes,
)
from interop._native._view import View, make_view
from interop._native._writes import ExchangeWriter, NdarrayWriter, Writer, Writes

__all__ = [
    "ArrayLender",
    "ArrayMoveRoute",
    "ArrayTaker",
    "Book",
    "CallOp",
    "CallRoute",
    "CalledStreams",
    "Cell",
    "ChainRoute",
    "CopyToExchangeOp",
    "CopyToNdarrayOp",
    "CurrentStream",
    "Entry",
    "ExchangeAPI",
    "ExchangeLender",
    "ExchangeMoveRoute",
    "ExchangeReader",
    "ExchangeRoute",
    "ExchangeStreams",
    "ExchangeTaker",
    "ExchangeWriter",
    "Flag",
    "Guards",
    "HandoverRoute",
    "IdentityRoute",
    "KeepOp",
    "Keeper",
    "Lender",
    "Loan",
    "Named",
    "NdarrayReader",
    "NdarrayRoute",
    "NdarrayViewRoute",
    "NdarrayWriter",
    "NumpyCallRoute",
    "Op",
    "PlainArrays",
    "PlainTensors",
    "ReadOp",
    "Reader",
    "Recipe",
    "Route",
    "SmallOp",
    "Streams",
    "Switch",
    "Taker",
    "ToExchangeOp",
    "ToNdarrayOp",
    "View",
    "ViewReader",
    "Writer",
    "Writes",
    "add_readers",
    "clear_hot_routes",
    "convert_door",
    "copyto_door",
    "door",
    "fill_ndarray",
    "fill_view",
    "find",
    "forget_recipes",
    "has_buffer",
    "hot_routes",
    "lasting",
    "like_door",
    "make_view",
    "ndarray_from_view",
    "peek_capsule",
    "view_door",
    "view_from_array_interface",
    "view_from_buffer",
    "view_from_capsule",
    "view_from_cuda_array_interface",
    "view_from_dlpack",
    "view_from_ndarray",
]
