"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, hot routes, trees.

It knows protocols, not frameworks; it casts nothing, plans nothing and waits for nothing.
"""

# Compiled, so that pyright sees no module; it fills in View's own exchange API.
from interop._native import _exchange as _exchange  # pyright: ignore[reportAttributeAccessIssue]
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
from interop._native._routes import (
    CallRoute,
    Cell,
    ChainRoute,
    ExchangeRoute,
    Flag,
    Guards,
    IdentityRoute,
    NdarrayRoute,
    NdarrayViewRoute,
    NumpyCallRoute,
    PlainTensors,
    Route,
    Switch,
    clear_hot_routes,
    convert_door,
    door,
    hot_routes,
    view_door,
)
from interop._native._trees import CONTAINER, KEEP, LEAF, CycleError, RebuildError, Walk, all_answer, convert_all
from interop._native._via import FOREIGN, OWN, PASS, SCALAR, SLOW, Via, call_slowly, forget_types, keep_vectorcall
from interop._native._view import View, make_view

__all__ = [
    "CONTAINER",
    "FOREIGN",
    "KEEP",
    "LEAF",
    "OWN",
    "PASS",
    "SCALAR",
    "SLOW",
    "ArrayLender",
    "ArrayMoveRoute",
    "ArrayTaker",
    "CallRoute",
    "CalledStreams",
    "Cell",
    "ChainRoute",
    "CurrentStream",
    "CycleError",
    "ExchangeAPI",
    "ExchangeLender",
    "ExchangeMoveRoute",
    "ExchangeRoute",
    "ExchangeStreams",
    "ExchangeTaker",
    "Flag",
    "Guards",
    "HandoverRoute",
    "IdentityRoute",
    "Keeper",
    "Lender",
    "Loan",
    "Named",
    "NdarrayRoute",
    "NdarrayViewRoute",
    "NumpyCallRoute",
    "PlainArrays",
    "PlainTensors",
    "RebuildError",
    "Route",
    "Streams",
    "Switch",
    "Taker",
    "Via",
    "View",
    "Walk",
    "all_answer",
    "call_slowly",
    "clear_hot_routes",
    "convert_all",
    "convert_door",
    "door",
    "find",
    "forget_types",
    "has_buffer",
    "hot_routes",
    "keep_vectorcall",
    "lasting",
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
