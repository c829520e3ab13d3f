"""What a user's program sees of torch's types where torch is installed; nothing runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import interop

if TYPE_CHECKING:
    import numpy as np
    import torch


def handed_over(a: np.ndarray[Any, Any], t: torch.Tensor) -> None:
    assert_type(interop.to_torch(a), "torch.Tensor")
    assert_type(interop.convert(a, "torch", copy=True), "torch.Tensor")
    assert_type(interop.convert_like(a, t, dtype="nearest"), "torch.Tensor")
    interop.to_torch(a, device=t.device, dtype=t.dtype)
    interop.to_torch(a, dtype=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    made = interop.to_torch(a)
    made.nosuch()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
