"""What an installed wheel has to do with numpy and ml_dtypes alone: run on each platform that a wheel is built for.

It needs no test framework and nothing of this folder, and ends with the place that the package was imported from.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from typing import Any

import ml_dtypes
import numpy as np

import interop


def views(a: np.ndarray[Any, Any]) -> None:
    v = interop.view(a)
    assert (v.ptr, v.shape, str(v.dtype), str(v.device)) == (a.ctypes.data, (2, 3), "float64", "cpu")
    b = interop.to_numpy(v)
    b[0, 0] = 7
    assert a[0, 0] == 7
    w = a.astype(ml_dtypes.bfloat16)
    assert interop.to_numpy(interop.view(w)).dtype == w.dtype
    assert np.from_dlpack(interop.view(a)).ctypes.data == a.ctypes.data
    assert interop.to_numpy(memoryview(b"abcd")).tobytes() == b"abcd"


def copies(a: np.ndarray[Any, Any]) -> None:
    """The compiled loops: casts, blocks of a transposed copy, what is written past the caches."""
    for wide, small in (("float32", "bfloat16"), ("float32", "float16"), ("float64", "float32")):
        values = np.linspace(-70000, 70000, 4099).astype(wide)
        with np.errstate(over="ignore"):
            expected = values.astype(small)
        assert interop.to_numpy(values, dtype=small).tobytes() == expected.tobytes()
        assert interop.to_numpy(expected, dtype=wide).tobytes() == expected.astype(wide).tobytes()
    for dtype in ("uint8", "int16", "float32", "complex128"):
        values = np.arange(301 * 517).astype(dtype).reshape(301, 517)
        copied = interop.to_numpy(values.T, order="C")
        assert copied.flags.c_contiguous
        assert np.array_equal(copied, values.T)
    large = np.arange(1 << 23, dtype="float64")
    assert np.array_equal(interop.to_numpy(large, copy=True), large)
    assert interop.to_numpy(a, copy=True).ctypes.data != a.ctypes.data


def refusals(a: np.ndarray[Any, Any]) -> None:
    assert interop.explain(a, "numpy").ok
    try:
        interop.convert(a, "torch")
    except interop.UnsupportedError as error:
        assert isinstance(error, ImportError)  # noqa: PT017 - pytest isn't there
    else:
        raise AssertionError("torch was found in an empty environment")
    try:
        interop.to_numpy(a, device="cuda")
    except interop.DeviceError:
        pass
    else:
        raise AssertionError("numpy has no CUDA memory")


def threads(a: np.ndarray[Any, Any]) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(2000):
                assert interop.to_numpy(interop.view(a)).ctypes.data == a.ctypes.data
        except BaseException as error:
            failed.append(error)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failed, failed
    has_gil = getattr(sys, "_is_gil_enabled", None)
    free_threading = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert not (free_threading and has_gil is not None and has_gil()), "importing interop turned the GIL on"


def main() -> None:
    a = np.arange(6.0).reshape(2, 3)
    views(a)
    copies(a)
    refusals(a)
    threads(a)
    print(interop.__file__)


if __name__ == "__main__":
    main()
