"""The Cython core: the neutral View, DLPack capsules, the C exchange API, array interfaces, ndarrays, hot routes.

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
from interop._native._loans import FORKED, CalledStreams, CurrentStream, ExchangeStreams, Loan, Streams
from interop._native._lookup import find
from interop._native._ndarray import lasting, ndarray_from_view, view_from_ndarray
from interop._native._negotiate import order, view_from_dlpack
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
from interop._native._view import View, make_view

__all__ = [
    "FORKED",
    "ArrayLender",
    "ArrayMoveRoute",
    "ArrayTaker",
    "CallRoute",
    "CalledStreams",
    "Cell",
    "ChainRoute",
    "CurrentStream",
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
    "Route",
    "Streams",
    "Switch",
    "Taker",
    "View",
    "clear_hot_routes",
    "convert_door",
    "door",
    "find",
    "has_buffer",
    "hot_routes",
    "lasting",
    "make_view",
    "ndarray_from_view",
    "order",
    "peek_capsule",
    "view_door",
    "view_from_array_interface",
    "view_from_buffer",
    "view_from_capsule",
    "view_from_cuda_array_interface",
    "view_from_dlpack",
    "view_from_ndarray",
]
