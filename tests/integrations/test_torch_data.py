"""Batches of other frameworks' arrays, by real workers of torch's DataLoader."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import torch
from loading import Killed, Samples
from torch.utils.data import DataLoader, default_collate

import interop
from interop.integrations.torch_data import collate, collate_fn_map

# jax, where another test has imported it, says so of every fork.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


def batches(samples: Any, context: str | None, workers: int = 1) -> list[dict[str, Any]]:
    loader = DataLoader(samples, batch_size=2, num_workers=workers, collate_fn=collate, multiprocessing_context=context)
    return list(loader)


@pytest.mark.parametrize(
    ("context", "dtype"),
    [(None, "float8_e5m2"), ("fork", "float8_e5m2"), ("spawn", "bfloat16"), ("forkserver", "bfloat16")],
)
def test_workers_of_every_kind(context: str | None, dtype: str) -> None:
    found = batches(Samples("numpy", dtype), context, 0 if context is None else 1)
    assert [batch["x"].dtype for batch in found] == [getattr(torch, dtype)] * 3
    assert [batch["x"].float().mean(dim=(1, 2)).tolist() for batch in found] == [[0, 1], [2, 3], [4, 5]]
    assert [batch["n"].tolist() for batch in found] == [[0, 1], [2, 3], [4, 5]]
    assert found[0]["name"] == ["s0", "s1"]
    assert all(batch["x"].is_shared() == (context is not None) for batch in found)


def test_jax_in_workers() -> None:
    pytest.importorskip("jax")
    found = batches(Samples("jax", "bfloat16"), "spawn")
    assert [batch["x"].float().mean(dim=(1, 2)).tolist() for batch in found] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_worker_is_an_error_and_leaves_nothing() -> None:
    segments = Path("/dev/shm")
    before = set(segments.iterdir()) if segments.exists() else set()
    # Which of them depends on what torch was doing when it noticed.
    with pytest.raises((RuntimeError, EOFError, OSError)):
        batches(Killed("numpy", "bfloat16"), "fork")
    after = set(segments.iterdir()) if segments.exists() else set()
    assert {path for path in after - before if path.name.startswith("torch_")} == set()


class Point(NamedTuple):
    x: int
    y: Any


def test_what_torch_collates_it_collates_as_torch_does() -> None:
    for batch in (
        [1, 2],
        [1.5, 2.5],
        ["a", "b"],
        [b"a", b"b"],
        [torch.ones(2), torch.zeros(2)],
        [np.float32(1), np.float32(2)],
        [np.arange(3), np.arange(3)],
        [(torch.ones(1), 2), (torch.ones(1), 3)],
        [{"a": [np.ones(2), "x"]}, {"a": [np.zeros(2), "y"]}],
        [Point(1, np.ones(1)), Point(2, np.zeros(1))],
    ):
        assert repr(collate(batch)) == repr(default_collate(batch))
    with pytest.raises(TypeError, match="default_collate"):
        collate([np.array(["a"]), np.array(["b"])])


def test_scalars_of_small_floats_and_arrays_of_others() -> None:
    assert collate([ml_dtypes.bfloat16(1), ml_dtypes.bfloat16(2)]).tolist() == [1, 2]
    assert collate([interop.view(np.ones(2)), interop.view(np.zeros(2))]).tolist() == [[1, 1], [0, 0]]
    assert object not in collate_fn_map()
    with pytest.raises(KeyError):
        collate_fn_map()[object]


def test_samples_that_differ_are_refused_by_their_number() -> None:
    small = ml_dtypes.bfloat16
    with pytest.raises(interop.UnsupportedError, match=r"sample 1 .*\(3,\).*first is bfloat16 \(2,\)"):
        collate([np.ones(2, small), np.ones(3, small)])
    with pytest.raises(interop.UnsupportedError, match=r"sample 1 .*float32"):
        collate([np.ones(2, small), np.ones(2, "f4")])
    with pytest.raises(interop.UnsupportedError, match="sample 1"):
        collate([np.ones(2, small), "text"])


def test_torch_s_own_map_stays_as_it_was() -> None:
    from torch.utils.data._utils.collate import default_collate_fn_map

    before = dict(default_collate_fn_map)
    collate([np.ones(2, ml_dtypes.bfloat16)])
    assert default_collate_fn_map == before
