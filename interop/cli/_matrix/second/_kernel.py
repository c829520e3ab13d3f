"""Memory as the kernel sees it: read and changed through ``/proc/self/mem``, by nobody's pointer."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_MEM: Final = "/proc/self/mem"

#: Whether there is a kernel here that can be asked.
CAN_ASK: Final = os.access(_MEM, os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array says that it is: the first element's address, and strides in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    def _ends(self) -> tuple[int, int]:
        """How far it reaches below the first element, and beyond it."""
        reach = [step * (side - 1) for side, step in zip(self.shape, self.strides, strict=True)]
        return sum(each for each in reach if each < 0), sum(each for each in reach if each > 0) + self.itemsize

    def elements(self) -> list[bytes]:
        """The elements in C order, as the kernel reads them; OSError where nothing is mapped."""
        low, high = self._ends()
        with _memory(os.O_RDONLY) as memory:
            held = os.pread(memory, high - low, self.address + low)
        return [held[at - low : at - low + self.itemsize] for at in self._offsets()]

    def _offsets(self) -> Iterator[int]:
        for index in product(*map(range, self.shape)):
            yield sum(position * step for position, step in zip(index, self.strides, strict=True))

    @contextmanager
    def inverted(self) -> Generator[None]:
        """Have the kernel invert every bit of the elements, and put them back at the end."""
        low, high = self._ends()
        with _memory(os.O_RDWR) as memory:
            before = os.pread(memory, high - low, self.address + low)
            after = bytearray(before)
            for at in {*self._offsets()}:
                for n in range(at - low, at - low + self.itemsize):
                    after[n] = before[n] ^ 0xFF
            os.pwrite(memory, after, self.address + low)
            try:
                yield
            finally:
                os.pwrite(memory, before, self.address + low)


@contextmanager
def _memory(flags: int) -> Generator[int]:
    opened = os.open(_MEM, flags)
    try:
        yield opened
    finally:
        os.close(opened)
