"""What torch differentiates: a function of tensors in a row, which knows the functions that are its derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from interop._agnostic._bridge._structure import Structure


class Like(NamedTuple):
    """What is known of a tensor that isn't there: its shape, and its element type by our name."""

    shape: tuple[int, ...]
    dtype: str


class Flat(Protocol):
    """A function of tensors in a row, to tensors in a row."""

    #: The function that a person wrote, for messages.
    name: str
    #: Whether the derivatives ask for the results too.
    keeps_results: bool
    #: The function that torch differentiates, once it is made: it lives as long as this one.
    crossing: Any

    def run(self, tensors: Sequence[torch.Tensor], /) -> tuple[list[torch.Tensor], Structure | None]:
        """The results, each on memory of its own, when they are there; and what is around them."""
        ...

    def outputs(self, tensors: Sequence[Like], /) -> tuple[list[Like], Structure | None]:
        """What the results would be like; nothing is computed that anybody sees."""
        ...

    def vjp(self, ins: tuple[int, ...], outs: tuple[int, ...], around: Structure | None, /) -> Flat:
        """The function of arguments, results where they are kept, and cotangents of `outs`: to those of `ins`."""
        ...

    def jvp(self, ins: tuple[int, ...], outs: tuple[int, ...], /) -> Flat:
        """The function of arguments and tangents of `ins`, to tangents of `outs`."""
        ...

    def vmap(self, dims: tuple[int | None, ...], /) -> Flat | None:
        """The function of batches, to batches along the first axis; None where a loop has to serve."""
        ...
