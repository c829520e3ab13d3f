"""What we don't do though a call by hand does, or could: each with its reason. Every row is checked to be needed."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from interop.cli._matrix.results import Matrix
    from interop.cli._matrix.verdict import Issue


@dataclass(frozen=True, slots=True)
class Excused:
    """Cells in which we copy or refuse, and why that is right; patterns are those of file names.

    Parameters
    ----------
    kind
        ``"copies"`` or ``"refuses"``.
    sources, targets, dtypes, columns
        Patterns, divided by commas, one of which has to match.
    reason
        In words, for users.
    """

    kind: str
    sources: str
    targets: str
    dtypes: str
    columns: str
    reason: str

    def covers(self, issue: Issue) -> bool:
        """Tell whether this is the reason of an issue."""
        return issue.kind == self.kind and all(
            _matches(patterns, text)
            for patterns, text in (
                (self.sources, issue.source),
                (self.targets, issue.target),
                (self.dtypes, issue.dtype),
                (self.columns, issue.column),
            )
        )

    def was_measured(self, matrix: Matrix) -> bool:
        """Tell whether a matrix has a pair that this speaks of."""
        return any(_matches(self.sources, source) and _matches(self.targets, target) for source, target in matrix.pairs)


def _matches(patterns: str, text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns.split(","))


_ALIGNED: Final = (
    "The target's compiled kernels take every element to be aligned; what they do with others is undefined (a vector "
    "load may raise SIGSEGV)."
)

EXCEPTIONS: Final = (
    Excused("copies", "*", "torch,paddle,tvm_ffi,warp,pyarrow,mlx,dpnp", "*", "unaligned*", _ALIGNED),
    Excused(
        "copies", "numpy", "array_api_strict", "*", "field*",
        "Strides that are no multiple of the element can't be said in DLPack: only numpy could take the array on.",
    ),
    Excused(
        "copies", "dpnp", "tvm_ffi", "*", "*",
        "tvm_ffi has no operations and no queues on a SYCL device, so nothing could be ordered there or moved from "
        "there again: it is given host memory, by a move that the caller names.",
    ),
    Excused(
        "refuses", "torch", "tvm_ffi", "complex32,float4_e2m1fn_x2", "*",
        "torch alone has this element type: nothing else could read, copy or cast what tvm_ffi was handed.",
    ),
    Excused(
        "refuses", "jax", "tvm_ffi", "float4_e2m1fn", "empty*",
        "jax exports no array of this type that has an element; that one without is exported helps nobody.",
    ),
)  # fmt: skip
