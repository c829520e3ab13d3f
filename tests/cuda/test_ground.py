"""What the other tests here stand on: torch and cupy share memory of the device, and a missing wait shows."""

from typing import Any

import numpy as np
import pytest

import cudasim


def test_torch_and_cupy_share_memory_of_the_device(torch: Any, cupy: Any) -> None:
    tensor = torch.arange(12.0).reshape(3, 4).cuda()
    array = cupy.from_dlpack(tensor)
    assert array.data.ptr == tensor.data_ptr()
    array.set(np.full((3, 4), 7, np.float32))
    assert (tensor.cpu() == 7).all()
    assert torch.from_dlpack(array).data_ptr() == tensor.data_ptr()


def test_each_device_has_memory_of_its_own(torch: Any, cupy: Any, two_devices: tuple[int, int]) -> None:
    first, second = two_devices
    tensor = torch.arange(5.0).to(f"cuda:{second}")
    assert cupy.from_dlpack(tensor).device.id == second
    assert tensor.to(f"cuda:{first}").cpu().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.sim_only(mode="lazy")
@pytest.mark.finds("race")
def test_a_missing_wait_is_found(torch: Any, cupy: Any, side_stream: Any, cupy_stream: Any) -> None:
    host = torch.arange(4.0).pin_memory()
    with torch.cuda.stream(side_stream):
        tensor = host.to("cuda", non_blocking=True)
    capsule = tensor.__dlpack__(stream=-1)
    with cupy_stream:
        array = cupy.from_dlpack(_Capsule(capsule, tensor.__dlpack_device__()))
        assert cupy.asnumpy(array).tolist() != [0, 1, 2, 3]


@pytest.mark.sim_only
def test_a_handshake_is_one_record_and_one_wait(torch: Any, cupy: Any, side_stream: Any, cupy_stream: Any) -> None:
    with torch.cuda.stream(side_stream):
        tensor = torch.arange(4.0).to("cuda")
        with cupy_stream, cudasim.counting() as done:
            array = cupy.from_dlpack(tensor)
    assert (done.copies, done.record, done.wait, done.sync) == (0, 1, 1, 0)
    with cupy_stream:
        assert cupy.asnumpy(array).tolist() == [0, 1, 2, 3]


class _Capsule:
    """A producer that hands out a capsule that it has already."""

    def __init__(self, capsule: object, device: tuple[int, int]) -> None:
        self._capsule, self._device = capsule, device

    def __dlpack__(self, **_options: object) -> object:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device
