"""What framework-agnostic code asks of torch: of its graphs, of writes, of parts of a memory, of its compiler."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

# Where the attributes are defined.
_names: Final = vars(torch.Tensor.__base__)


class TorchCode:
    """The attributes of torch's adapter that trees and decorated functions look for."""

    #: What a tensor answers that can be handed over as it is: asked of all leaves of a tree, before one is locked.
    plain: Final = ((_names["requires_grad"], False), (_names["layout"], torch.strided), (_names["is_cpu"], True))

    #: The attribute that counts the writes into a tensor; in a tuple, or it would be this adapter's own.
    writes: Final = (_names["_version"],)

    #: Whether a graph is recorded here and now.
    records = staticmethod(torch.is_grad_enabled)

    #: What Dynamo traces of the ways to numpy and back: the type that goes, how, the type that comes back, and how.
    traced: Final = {"numpy": (torch.Tensor, torch.Tensor.numpy, np.ndarray, torch.from_numpy)}

    #: Whether Dynamo traces here and now.
    traces = staticmethod(torch.compiler.is_compiling)

    @staticmethod
    def hide(*functions: Callable[..., Any]) -> tuple[Callable[..., Any], ...] | None:
        """Return functions that Dynamo doesn't look into; None while it isn't imported, which takes seconds."""
        if "torch._dynamo" not in sys.modules:
            return None
        return tuple(torch.compiler.disable(each) for each in functions)

    def part(self, x: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
        """Return other elements of the memory that a tensor is on, `offset` elements on: of one storage with it."""
        plain = x.detach()
        return plain.as_strided(shape, strides, plain.storage_offset() + offset)
