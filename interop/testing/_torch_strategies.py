"""Torch tensors for hypothesis: of every element type, shape and layout, and with a gradient or a pending bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop.testing._asked import DEFAULT_KINDS, KINDS, keywords, some_of
from interop.testing._hypothesis import note, st
from interop.testing._spaces import SEEDS, Shape, dtype_strategy, layout_strategy, shape_strategy
from interop.testing._spaces import shapes as default_shapes
from interop.testing._values import random_bits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import torch

    from interop.testing._hypothesis import SearchStrategy
    from interop.testing._layouts import Layout
    from interop.testing._spaces import Dtypes, Layouts, Shapes


@dataclass(frozen=True, slots=True)
class Flavour:
    """What a torch tensor is besides its values.

    Parameters
    ----------
    name
        What it is called.
    apply
        From a plain tensor to one of this flavour, on the same memory.
    kinds
        The kinds of element types that can have it.
    """

    name: str
    apply: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    kinds: tuple[str, ...] = DEFAULT_KINDS

    @property
    def names(self) -> frozenset[str]:
        """Names of the element types that can have it."""
        return frozenset(name for kind in self.kinds for name in KINDS[kind])


def _neg(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    # Public ways to a negative bit (z.conj().imag) double the strides; this one leaves the layout alone.
    return torch._neg_view(tensor)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _parameter(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.nn.Parameter(tensor)


_DIFFERENTIABLE: Final = ("float", "complex", "bfloat")

#: The flavours of torch tensors by name; the values of "conj" and "neg" are the conjugate and negative of the memory.
TORCH_FLAVOURS: Final[Mapping[str, Flavour]] = MappingProxyType(
    {
        flavour.name: flavour
        for flavour in (
            Flavour("plain", lambda tensor: tensor),
            Flavour("conj", lambda tensor: tensor.conj(), ("complex",)),
            Flavour("neg", _neg, _DIFFERENTIABLE),
            Flavour("requires_grad", lambda tensor: tensor.requires_grad_(), _DIFFERENTIABLE),
            Flavour("parameter", _parameter, _DIFFERENTIABLE),
        )
    }
)

# Elements are laid out as integers of their size, so that no arithmetic touches a NaN.
_CARRIERS: Final = MappingProxyType({1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128})


@keywords
def torch_tensors(
    *,
    dtypes: Dtypes | None = None,
    shapes: Shapes | None = None,
    layouts: Layouts | None = None,
    flavours: str | Collection[str] = ("plain",),
    device: str = "cpu",
) -> SearchStrategy[torch.Tensor]:
    """Draw torch tensors.

    Parameters
    ----------
    dtypes, shapes, layouts
        As of :func:`numpy_arrays`. Element types that can't have the flavour are left out.
    flavours
        Names in :data:`TORCH_FLAVOURS`.
    device
        Where the memory is.

    Examples
    --------
    >>> from hypothesis import find
    >>> from interop.testing.strategies import torch_tensors
    >>> find(torch_tensors(dtypes="float32", flavours=["requires_grad"]), lambda t: t.ndim == 1 and len(t) > 1)
    tensor([0., 1.], requires_grad=True)
    """
    names = dtype_strategy(dtypes, "torch")
    wanted = some_of("flavours", flavours, TORCH_FLAVOURS, "no flavour of tensors")

    def of(flavour: Flavour) -> SearchStrategy[torch.Tensor]:
        drawn = st.tuples(
            names if flavour.kinds == DEFAULT_KINDS else names.filter(flavour.names.__contains__),
            shape_strategy(shapes, default_shapes),
            layout_strategy(layouts, "torch"),
            SEEDS,
        )
        return drawn.map(lambda parts: _torch_tensor(*parts, flavour=flavour, device=device))

    return st.one_of([of(TORCH_FLAVOURS[name]) for name in wanted])


def _torch_tensor(
    name: str, shape: Shape, layout: Layout[Any], seed: int, *, flavour: Flavour, device: str
) -> torch.Tensor:
    import torch

    note(f"a torch tensor: {name} {shape}, {layout}, {flavour.name}, device {device}, seed {seed}")
    dtype = getattr(torch, name)
    bits: np.ndarray[Any, Any] = random_bits(name, prod(shape), seed).view(_CARRIERS[dtype.itemsize])
    # Cloned, so that the memory is torch's own and its storage can be resized.
    values = torch.from_numpy(bits.reshape(shape)).clone().to(device)
    return flavour.apply(layout.build(values).view(dtype))
