"""The training loops of the page about gradients learn what the native ones learn."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

CURVES: Any = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "curves.py"))


@pytest.mark.parametrize("learn", [CURVES["torch_learns"], CURVES["jax_learns"]])
def test_the_curves_lie_on_top_of_each_other(learn: Any) -> None:
    assert (jax.default_backend(), torch.get_default_dtype()) == ("cpu", torch.float32)
    # As a reader has it, whatever other tests have switched on.
    with jax.enable_x64(False):
        ours, native = learn(25).values()
    np.testing.assert_allclose(ours, native, rtol=1e-4)
    assert ours[-1] < ours[0] / 3
