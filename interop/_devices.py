"""Devices: one table from DLPack's device types to names."""

from __future__ import annotations

import re
from typing import Any, Final, final

from interop._foreign import FOREIGN
from interop._words import exact_int, exact_str, is_a, shown
from interop.errors import DeviceError

# DLDeviceType, dlpack.h 1.3 and what was added after it; unknown numbers are met in the wild and stay numbers.
NAMES: Final[dict[int, str]] = {
    1: "cpu",
    2: "cuda",
    3: "cuda_host",
    4: "opencl",
    7: "vulkan",
    8: "metal",
    9: "vpi",
    10: "rocm",
    11: "rocm_host",
    12: "ext_dev",
    13: "cuda_managed",
    14: "oneapi",
    15: "webgpu",
    16: "hexagon",
    17: "maia",
    18: "trn",
    19: "tpu",
    20: "tpu_host",
    21: "ascend",
}
NUMBERS: Final = {name: number for number, name in NAMES.items()}

#: What frameworks call some of them.
_KNOWN_AS: Final = {"mps": "metal", "xpu": "oneapi"}

CPU, CUDA, CUDA_HOST, METAL, ROCM, ROCM_HOST, EXT_DEV, CUDA_MANAGED, ONEAPI = 1, 2, 3, 8, 10, 11, 12, 13, 14

#: Memory that the host can read and write by pointer: ordinary, page-locked and managed memory.
HOST_ACCESSIBLE: Final = frozenset({CPU, CUDA_HOST, ROCM_HOST, CUDA_MANAGED})

_PATTERN: Final = re.compile(r"([a-z_]+|device\d+)(?::(\d+))?")


@final
class Device:
    """Where memory lives: a DLPack device type and an index.

    Parameters
    ----------
    device
        A string (``"cpu"``, ``"cuda"``, ``"cuda:1"``), a DLPack pair ``(type, index)``, or the device object of
        any loaded framework.

    Raises
    ------
    DeviceError
        If it isn't a device.

    Notes
    -----
    It prints as ``cpu`` or ``cuda:0``, and it equals and hashes as that string only; use :meth:`matches` to
    compare with a framework's own device object.

    Examples
    --------
    >>> Device("cuda")
    Device('cuda:0')
    >>> Device((1, 0)) == "cpu", Device("cuda:1").dlpack
    (True, (2, 1))
    """

    __slots__ = ("index", "type_code")

    type_code: int
    index: int

    def __new__(cls, device: object, /) -> Device:
        if is_a(device, Device):
            return device
        try:
            pair = _parse(device)
        except Exception as err:
            raise DeviceError(_no_device_text(device)) from err
        if pair is None:
            raise DeviceError(_no_device_text(device))
        return device_of_pair(*pair)

    @property
    def type(self) -> str:
        """The name of the device type, such as ``"cuda"``."""
        return NAMES.get(self.type_code, f"device{self.type_code}")

    @property
    def dlpack(self) -> tuple[int, int]:
        """The DLPack pair ``(type, index)``."""
        return (self.type_code, self.index)

    @property
    def is_host(self) -> bool:
        """Whether the host can read the memory by pointer (ordinary, page-locked or managed)."""
        return self.type_code in HOST_ACCESSIBLE

    def matches(self, other: object, /) -> bool:
        """Tell whether `other`, in any framework's spelling, is this device."""
        return parse_device(other) == self.dlpack

    def __str__(self) -> str:
        return "cpu" if self.type_code == CPU and self.index == 0 else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"Device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if is_a(other, Device):
            return self.dlpack == other.dlpack
        return str(self) == other if is_a(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return (device_of_pair, self.dlpack)


_interned: Final[dict[tuple[int, int], Device]] = {}


def device_of_pair(type_code: int, index: int = 0) -> Device:
    """The one Device of a DLPack pair."""
    pair = (type_code, index)
    found = _interned.get(pair)
    if found is None:
        made = object.__new__(Device)
        made.type_code, made.index = pair
        found = _interned.setdefault(pair, made)
    return found


def _no_device_text(device: object) -> str:
    return (
        f"{shown(device)} is not a device. Pass 'cpu', 'cuda', 'cuda:1', a DLPack pair such as (2, 1), or the device "
        "object of a framework that is loaded."
    )


#: DLPack's device type and index are 32-bit.
_INT32: Final = 1 << 31


def is_pair(kind: int, index: int) -> bool:
    """Whether two numbers are a device type and an index that DLPack can name."""
    return 0 < kind < _INT32 and 0 <= index < _INT32


def parse_device(device: object) -> tuple[int, int] | None:
    """The DLPack pair that `device` spells, or None where it spells none; never raises."""
    try:
        return _parse(device)
    except Exception:  # noqa: BLE001 - what can't be asked is no device
        return None


def _parse(device: object) -> tuple[int, int] | None:
    """The same, but for what an object raises that is asked."""
    if is_a(device, Device):
        return device.dlpack
    text = exact_str(device)
    if text is not None:
        match = _PATTERN.fullmatch(text)
        if match is None:
            return None
        name, index = match.groups()
        number = int(name[6:]) if name.startswith("device") else NUMBERS.get(_KNOWN_AS.get(name, name))
        pair = None if number is None else (number, int(index or 0))
    elif (is_a(device, tuple) or is_a(device, list)) and len(device) == 2:  # noqa: PLR2004 - a pair
        # Enums are ints too; what is kept is the number.
        kind, place = map(exact_int, device)
        pair = None if kind is None or place is None else (kind, place)
    else:
        return FOREIGN.device(device)
    return pair if pair is not None and is_pair(*pair) else None
