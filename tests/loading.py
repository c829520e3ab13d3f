"""Datasets for DataLoader workers, in a module that they can import."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import interop


class Samples:
    """Samples of one framework: the number of the sample in each element."""

    def __init__(self, framework: str, dtype: str, count: int = 6) -> None:
        self.framework, self.dtype, self.count = framework, dtype, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> dict[str, Any]:
        x = np.full((2, 3), n, ml_dtypes.bfloat16).astype(self.dtype)
        return {"x": interop.convert(x, self.framework, copy=True), "n": n, "name": f"s{n}"}


class Killed(Samples):
    """One whose worker is killed in the middle."""

    def __getitem__(self, n: int) -> dict[str, Any]:
        if n == 4:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(n)
