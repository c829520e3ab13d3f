"""What a test can ask of the simulated device."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

import cudasim
from cudasim import abi, control


@pytest.fixture
def torch() -> Any:
    import torch

    torch.cuda.init()
    return torch


def names_of_counters() -> list[str]:
    names: list[str] = []
    while name := cudasim.device().cudasim_counter_name(len(names)):
        names.append(name.decode())
    return names


def test_the_table_has_every_counter_of_the_device() -> None:
    ours = {field.name for field in dataclasses.fields(cudasim.Counters)}
    now = {"pending", "pending_work"} | {name for name in names_of_counters() if name.startswith("live_")}
    assert ours | now == set(names_of_counters())


def test_an_unknown_counter_is_no_zero() -> None:
    with pytest.raises(KeyError, match="copies_of_copies"):
        cudasim.counter("copies_of_copies")


def test_the_table_has_every_function_of_the_header() -> None:
    header = re.sub(r"/\*.*?\*/", "", control.HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"\bcudasim_\w+(?=\()", header)) == set(abi.FUNCTIONS)


def test_counting_counts_what_is_done_inside_alone(torch: Any) -> None:
    tensor = torch.ones(4).cuda()
    with cudasim.counting() as done:
        copy = tensor.clone()
        host = copy.cpu()
    host.sum()
    tensor.clone()
    assert (done.h2d, done.d2d, done.d2h, done.copies) == (0, 1, 1, 2)
    assert done.copied_bytes == 32


def test_counting_tells_also_what_was_done_before_an_error(torch: Any) -> None:
    with pytest.raises(ZeroDivisionError), cudasim.counting() as done:
        torch.ones(4).cuda()
        raise ZeroDivisionError
    assert done.h2d == 1


def test_counters_say_what_there_is() -> None:
    assert str(cudasim.Counters(h2d=2, wait=1)) == "h2d 2, wait 1"
    assert str(cudasim.Counters()) == "nothing"


@pytest.mark.sim_only(mode="lazy")
def test_pending_work_is_listed_and_runs_when_told(torch: Any) -> None:
    host = torch.ones(4).pin_memory()
    tensor = torch.empty(4, device="cuda")
    cudasim.settle()
    with torch.cuda.stream(torch.cuda.Stream()):
        tensor.copy_(host, non_blocking=True)
    copies = [each for each in cudasim.operations() if "emcpy" in each.text]
    assert len(copies) == 1
    assert cudasim.peek(tensor.data_ptr(), 4) != host.numpy().tobytes()[:4]
    cudasim.run()
    assert not cudasim.pending()
    assert cudasim.peek(tensor.data_ptr(), 4) == host.numpy().tobytes()[:4]


def test_held_streams_wait(torch: Any) -> None:
    stream = torch.cuda.Stream()
    host = torch.ones(4).pin_memory()
    tensor = torch.empty(4, device="cuda")
    with cudasim.held(stream.cuda_stream), torch.cuda.stream(stream):
        tensor.copy_(host, non_blocking=True)
        assert any(each.held and each.stream == stream.cuda_stream for each in cudasim.operations())
    cudasim.settle()
    assert tensor.cpu().tolist() == [1, 1, 1, 1]


def test_memory_is_listed_described_read_and_written(torch: Any) -> None:
    before = cudasim.last_allocation()
    tensor = torch.zeros(3 << 20, dtype=torch.uint8).cuda()
    (made,) = (each for each in cudasim.allocations(before) if each.kind == "device")
    assert made.address <= tensor.data_ptr() < made.address + made.size
    assert f"allocation #{made.id}" in cudasim.describe(tensor.data_ptr())
    cudasim.poke(tensor.data_ptr() + 1, b"\x05\x06")
    assert cudasim.peek(tensor.data_ptr(), 4) == b"\0\x05\x06\0"
    assert tensor[:4].cpu().tolist() == [0, 5, 6, 0]


def test_memory_that_is_in_no_allocation_is_refused() -> None:
    with pytest.raises(ValueError):
        cudasim.peek(16, 1)
    with pytest.raises(ValueError):
        cudasim.poke(16, b"1")


def test_another_mode_for_a_while() -> None:
    before = cudasim.mode()
    with control.in_mode("eager"):
        assert cudasim.mode() == "eager"
    assert cudasim.mode() == before


def test_a_device_can_be_made_small(torch: Any) -> None:
    torch.cuda.empty_cache()
    cudasim.set_memory(0, 32 << 20)
    try:
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
    finally:
        cudasim.set_memory(0, 0)
    torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
