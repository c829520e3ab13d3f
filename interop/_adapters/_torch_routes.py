"""The hot routes of torch, composed from the core's generic parts.

A route takes a plain tensor that needs nothing done; whatever a check doesn't like goes to the planner, which knows
why. torch's own entry points skip those checks, so each stands here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd import forward_ad

from interop._dtypes import BY_NAME
from interop._native import Cell, ExchangeRoute, Guards, IdentityRoute, LockedNdarrayRoute, NdarrayRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._native import ExchangeAPI
    from interop.protocols import Limits

_Base: Any = torch._C.TensorBase  # noqa: SLF001 - where the methods are defined: bound through it, no lookup is paid per call


def hot_routes_of_torch(api: ExchangeAPI, limits: Limits) -> Mapping[tuple[type, str], Callable[[Any], Any]]:
    """Return torch's routes by exact type and target."""
    guards = Guards(
        # Attribute or method, and the answer that lets a tensor pass.
        attributes=((_Base.requires_grad, False),),
        methods=((_Base.is_neg, False),),
        # Only complex tensors can have it, and asking costs more than looking at the dtype.
        complex_methods=((_Base.is_conj, False),),
        # Below 0 outside of dual_level(), where no tensor can carry a forward-mode tangent.
        cells=(Cell(vars(forward_ad), "_current_level", -1),),
    )
    view = ExchangeRoute(api, owner=_Base.untyped_storage, guards=guards)
    ndarray = LockedNdarrayRoute(
        view,
        # numpy() is the one call that makes a storage refuse resize_, which would free the memory under the array.
        lock=_Base.numpy,
        unlocked=torch.UntypedStorage.resizable,
        reinterpret=_Base.view,
        as_integers={1: torch.uint8, 2: torch.int16},
    )
    tensor = NdarrayRoute(
        api,
        dtypes=[(row.code, row.bits, row.lanes) for row in BY_NAME.values() if row.name in limits.dtypes],
    )
    return {
        (torch.Tensor, "view"): view,
        (torch.nn.Parameter, "view"): view,
        (torch.Tensor, "numpy"): ndarray,
        (torch.nn.Parameter, "numpy"): ndarray,
        (np.ndarray, "torch"): tensor,
        (torch.Tensor, "torch"): IdentityRoute(),
        (torch.nn.Parameter, "torch"): IdentityRoute(),
    }
