"""jax on CUDA: copies are made on the device, nothing blocks the host, and jax's own stream is what waits.

jax has no build for the simulated device, so its GPU is a fake here: genuine jax on the host, told that it has two
GPUs, and arrays that take and give device memory by the rules of jax's own ``from_dlpack`` and ``__dlpack__``: the
consumer's stream goes to the producer. On a machine with a GPU `tests/cuda/on_gpu.py` tries the same with jax itself.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import cudasim
import interop

jax: Any = pytest.importorskip("jax")

SIZE = 1 << 12
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda x: x,
    "stepped": lambda x: x[::2],
    "transposed": lambda x: x.reshape(64, 64).T,
}


class Gpu:
    """A device of jax's."""

    platform = "gpu"

    def __init__(self, index: int) -> None:
        self.local_hardware_id = index


class GpuArray:
    """An array of jax's on a GPU; `stream` is the one that jax works on there."""

    def __init__(self, tensor: Any, stream: Any, *, ready: bool = True) -> None:
        self.tensor, self.stream, self.ready = tensor, stream, ready
        self.shape, self.ndim = tuple(tensor.shape), tensor.ndim
        self.dtype = np.dtype(str(tensor.dtype).removeprefix("torch."))
        axes = sorted(range(self.ndim), key=lambda axis: -tensor.stride(axis))
        self.format = types.SimpleNamespace(layout=types.SimpleNamespace(major_to_minor=tuple(axes)))
        self.sharding = types.SimpleNamespace(device_set={Gpu(tensor.device.index)})

    def is_deleted(self) -> bool:
        return False

    def is_ready(self) -> bool:
        return self.ready

    def unsafe_buffer_pointer(self) -> int:
        return int(self.tensor.data_ptr())

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self.tensor.device.index)

    def __dlpack__(self, *, stream: int | None = None, **_options: Any) -> Any:
        import torch

        with torch.cuda.stream(self.stream):
            return self.tensor.__dlpack__(stream=stream)


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch, torch: Any) -> tuple[Any, Any]:
    """jax's adapter, for arrays of the fake GPUs, and the stream that jax works on there."""
    from interop._adapters import _jax

    stream = torch.cuda.Stream(device=0)

    def from_dlpack(x: Any) -> GpuArray:
        kind, index = x.__dlpack_device__()
        assert kind == 2
        with torch.cuda.device(index):
            return GpuArray(torch.utils.dlpack.from_dlpack(x.__dlpack__(stream=int(stream.cuda_stream))), stream)

    gpus = [Gpu(index) for index in range(torch.cuda.device_count())]
    hosts = jax.devices("cpu")
    monkeypatch.setattr(_jax, "from_dlpack", from_dlpack)
    monkeypatch.setattr(_jax, "_devices", lambda platform: gpus if platform == "gpu" else hosts)
    claims = _jax.JaxAdapter.claims
    monkeypatch.setattr(_jax.JaxAdapter, "claims", lambda self, tp: tp is GpuArray or claims(self, tp))
    return _jax.adapter, stream


def behind(torch: Any, cupy: Any, stream: Any) -> tuple[Any, Any]:
    """A tensor that a copy is still queued to, on a stream, and the values that it gets."""
    memory = cupy.cuda.alloc_pinned_memory(4 * SIZE)
    host = np.frombuffer(memory, np.float32, SIZE)
    host[...] = np.arange(SIZE)
    with torch.cuda.stream(stream):
        made = torch.empty(SIZE, device="cuda")
        made.copy_(torch.from_numpy(host), non_blocking=True)
    return made, host


def values(x: GpuArray) -> Any:
    import torch

    with torch.cuda.stream(x.stream):
        return x.tensor.cpu().numpy()


@pytest.mark.parametrize("options", [{}, {"copy": True}, {"writable": False, "copy": True}], ids=str)
@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("source", ["torch", "cupy"])
def test_a_copy_for_jax_is_made_on_the_device(
    source: str, layout: str, options: dict[str, Any], adapter: Any, torch: Any, cupy: Any, side_stream: Any
) -> None:
    t, host = behind(torch, cupy, side_stream)
    shaped = LAYOUTS[layout]
    with interop.use_stream(side_stream):
        x = shaped(t if source == "torch" else interop.to_cupy(t))
        plan = interop.explain(x, "jax", **options)
        made = interop.to_jax(x, **options)
        # What the source's framework does next comes after the copy.
        t.copy_(torch.zeros(SIZE).pin_memory(), non_blocking=True)
        assert (plan.ok, plan.certain, plan.zero_copy) == (True, True, False)
        assert plan.copied_bytes == shaped(host).nbytes
        assert plan.steps[0].by == source
    np.testing.assert_array_equal(values(made), shaped(host))
    assert not interop.shares_memory(made, t)


@pytest.mark.sim_only
def test_the_host_waits_for_nothing(adapter: Any, torch: Any, cupy: Any, side_stream: Any) -> None:
    t, host = behind(torch, cupy, side_stream)
    with torch.cuda.stream(side_stream), cudasim.counting() as done:
        made = interop.to_jax(t)
    assert (done.sync, done.implicit_sync, done.record, done.wait) == (0, 0, 1, 1), str(done)
    np.testing.assert_array_equal(values(made), host)


def test_an_alias_is_ordered_on_jaxs_own_stream(adapter: Any, torch: Any, cupy: Any, side_stream: Any) -> None:
    t, host = behind(torch, cupy, side_stream)
    with torch.cuda.stream(side_stream):
        made = interop.to_jax(t, copy=False)
    assert made.tensor.data_ptr() == t.data_ptr()
    np.testing.assert_array_equal(values(made), host)


def test_memory_of_no_framework_is_copied_by_one_that_works_there(
    adapter: Any, torch: Any, cupy: Any, side_stream: Any
) -> None:
    t, host = behind(torch, cupy, side_stream)
    with torch.cuda.stream(side_stream):
        view = interop.view(t)
        made = interop.to_jax(view)
        assert interop.explain(view, "jax").copied_bytes == host.nbytes
    assert not interop.shares_memory(made, t)
    np.testing.assert_array_equal(values(made), host)


def test_work_in_flight_is_waited_for_by_a_stream_and_not_by_the_host(adapter: Any, torch: Any, cupy: Any) -> None:
    _, stream = adapter
    t, host = behind(torch, cupy, stream)
    x = GpuArray(t, stream, ready=False)
    assert interop.explain(x, "cupy", writable=False).zero_copy
    with cupy.cuda.Stream(non_blocking=True):
        if cudasim.booted():
            with cudasim.counting() as done:
                c = interop.to_cupy(x, writable=False)
            assert (done.sync, done.record, done.wait) == (0, 1, 1), str(done)
        else:
            c = interop.to_cupy(x, writable=False)
        assert c.data.ptr == t.data_ptr()
        np.testing.assert_array_equal(c.get(), host)
