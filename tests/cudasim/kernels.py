"""Whether the stand-ins for copying kernels read the arguments of this torch and this cupy rightly.

No kernel runs on the simulated device. Those that only move, cast or fill have stand-ins (`src/emulate.c`), which
read a kernel's arguments as one version of a library lays them out. `check` tries them all against the host, before
any test relies on one.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from cudasim import control

Trial = tuple[str, Callable[[], Any], Any]

TORCH = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
#: Of these torch moves the bytes; their values aren't looked at here.
TORCH_MOVED = ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float4_e2m1fn_x2", "complex32")

VALUES = np.array([[0, 1, 2, 3, 5, 100], [127, 64, 7, 11, 13, 17], [1, 0, 1, 0, 96, 33], [19, 23, 29, 31, 37, 41]])


def _torch_trials() -> Iterator[Trial]:
    import torch

    host = torch.from_numpy(VALUES)
    for name in TORCH:
        values = host.to(getattr(torch, name))
        device = values.cuda()
        yield f"torch {name}, transposed", device.T.contiguous, values.T.contiguous()
        yield f"torch {name}, every other", device[:, ::2].contiguous, values[:, ::2].contiguous()
        yield f"torch {name}, expanded", device[:1].expand(4, 6).contiguous, values[:1].expand(4, 6).contiguous()
        filled = values.clone().fill_(1)
        yield f"torch {name}, filled", partial(_filled, device), filled
        filled = values.clone()
        filled[:, ::2] = 1
        yield f"torch {name}, filled in part", partial(_filled_in_part, device), filled
    for name in TORCH_MOVED:
        dtype = getattr(torch, name, None)
        if dtype is not None:
            raw = torch.arange(4 * 6 * dtype.itemsize, dtype=torch.uint8).reshape(4, -1)
            values, device = raw.view(dtype), raw.cuda().view(dtype)
            yield f"torch {name}, transposed", device.T.contiguous, values.T.contiguous()
    for source, target in itertools.permutations(TORCH, 2):
        values, dtype = host.to(getattr(torch, source)), getattr(torch, target)
        loses = values.is_complex() and not dtype.is_complex
        expected = values.real.to(dtype) if loses else values.to(dtype)
        device = values.cuda()
        yield f"torch {source} to {target}", partial(device.to, dtype), expected
        yield f"torch {source} to {target}, strided", partial(device[:, ::2].to, dtype), expected[:, ::2]
    for name in ("complex64", "complex128"):
        values = host.to(getattr(torch, name)) * (1 + 2j)
        yield f"torch {name}, conjugated", values.cuda().conj().resolve_conj, values.conj().resolve_conj()
        part = values.cuda().T.conj()
        yield f"torch {name}, conjugated and strided", part.resolve_conj, values.T.conj().resolve_conj()
    for name in ("float32", "float64", "int64"):
        values = host.to(getattr(torch, name))
        yield f"torch {name}, negated", partial(_negated, values.cuda()), -values


def _filled(device: Any) -> Any:
    return device.clone().fill_(1)


def _filled_in_part(device: Any) -> Any:
    copy = device.clone()
    copy[:, ::2].fill_(1)
    return copy


def _negated(device: Any) -> Any:
    import torch

    return torch._neg_view(device).resolve_neg()


def _cupy_trials() -> Iterator[Trial]:
    import cupy

    names = [name for name in TORCH if name != "bfloat16"]
    for name in (*names, "bfloat16"):
        values = VALUES.astype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
        device = cupy.asarray(values)
        yield f"cupy {name}, transposed", device.T.copy, values.T
        yield f"cupy {name}, backwards", device[::-1, ::2].copy, values[::-1, ::2]
        yield f"cupy {name}, broadcast", cupy.broadcast_to(device[:1], (4, 6)).copy, np.broadcast_to(values[:1], (4, 6))
    for source, target in itertools.permutations(names, 2):
        if source.startswith("complex") and not target.startswith("complex"):
            continue  # numpy and cupy both warn
        values = VALUES.astype(source)
        yield f"cupy {source} to {target}", partial(cupy.asarray(values).astype, target), values.astype(target)


def _bytes(array: Any) -> bytes:
    if hasattr(array, "untyped_storage"):
        import torch

        return bytes(array.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return bytes(np.asarray(array.get() if hasattr(array, "get") else array).tobytes())


def disagreements(trials: Iterator[Trial]) -> list[str]:
    """What each stand-in that doesn't do as the host does has done instead."""
    wrong: list[str] = []
    for name, call, expected in trials:
        try:
            if _bytes(call()) != _bytes(expected):
                wrong.append(f"{name}: other bytes than on the host")
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
    return wrong


def check() -> list[str]:
    """Try all stand-ins; if one is wrong, turn all of them off, so that every kernel is refused.

    Returns
    -------
    list of str
        What is wrong, in words; nothing, if the versions are those that the stand-ins were written for.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that complex32 is experimental, that a cast loses the imaginary part
        wrong = [*disagreements(_torch_trials()), *disagreements(_cupy_trials())]
    if wrong:
        control.device().cudasim_set_kernels(0)
    control.settle()
    control.clear_findings()
    return wrong
