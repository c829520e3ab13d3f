"""Arrays of make-believe devices: host memory that says it is CUDA's, ROCm's, oneAPI's, pinned or managed.

Streams are numbers. What a real producer would do with them is written down instead of done, so that a test can
ask who was made to wait for whom.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from interop.testing.fakes._dlpack import CPU, Call, EitherProducer
from interop.testing.fakes._interfaces import cuda_array_interface

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Unpack

    from typing_extensions import CapsuleType

    from interop.testing._capsules import Overrides
    from interop.testing.fakes._base import Array

CUDA, ROCM, ONEAPI, CUDA_MANAGED = 2, 10, 14, 13
LEGACY_STREAM: Final = 1


class FakeRuntime:
    """The current device and streams of make-believe GPUs, and the order of work between streams.

    Parameters
    ----------
    strict
        Whether exporting an array whose device isn't current is refused, as torch does.

    Attributes
    ----------
    current_device
        The index of the current device.
    waits
        Pairs of streams: the first waits for what the second had queued.
    synchronised
        Streams that the host waited for.

    Examples
    --------
    >>> from interop.testing.fakes import FakeRuntime
    >>> runtime = FakeRuntime()
    >>> with runtime.stream(0, 7):
    ...     runtime.current_stream(0)
    7
    >>> runtime.current_stream(0)
    1
    """

    def __init__(self, *, strict: bool = True) -> None:
        self.strict = strict
        self.current_device = 0
        self.waits: list[tuple[int, int]] = []
        self.synchronised: list[int] = []
        self._streams: dict[int, int] = {}

    def current_stream(self, device: int) -> int:
        """Return the current stream of a device."""
        return self._streams.get(device, LEGACY_STREAM)

    @contextmanager
    def device(self, index: int) -> Generator[None, None, None]:
        """Make a device current."""
        before, self.current_device = self.current_device, index
        try:
            yield
        finally:
            self.current_device = before

    @contextmanager
    def stream(self, device: int, stream: int) -> Generator[None, None, None]:
        """Make a stream the current one of its device."""
        before = self.current_stream(device)
        self._streams[device] = stream
        try:
            yield
        finally:
            self._streams[device] = before

    def wait(self, waiting: int, awaited: int) -> None:
        """Make one stream wait for another, which costs nothing where both are one."""
        if waiting != awaited:
            self.waits.append((waiting, awaited))


def _no_stream(stream: Any) -> bool:
    return stream is None


# Which streams a consumer may name, by the device's type; the array API standard's list.
_STREAMS: Final[Mapping[int, Callable[[Any], bool]]] = {
    CUDA: lambda stream: stream is None or (isinstance(stream, int) and (stream == -1 or stream > 0)),
    CUDA_MANAGED: lambda stream: stream is None or (isinstance(stream, int) and (stream == -1 or stream > 0)),
    ROCM: lambda stream: stream is None or (isinstance(stream, int) and (stream in (-1, 0) or stream > 2)),
    ONEAPI: lambda _: True,
}


class FakeDeviceArray(EitherProducer):
    """An array on a make-believe device, exported as torch and cupy export theirs.

    It takes every keyword and answers without ``max_version`` by a legacy capsule; ``dl_device=(1, 0)`` gives a copy
    on the host, after which ``copy=False`` is a ValueError; a stream that the standard forbids is a ValueError.

    Parameters
    ----------
    array
        The memory. Its address stands for one on the device.
    device
        DLPack's type and index.
    stream
        The stream that last wrote to the memory.
    runtime
        Where waits are written down; a lenient one of its own by default.
    host_copies
        Whether ``dl_device=(1, 0)`` is answered by a copy, or by a BufferError.
    **overrides
        Fields to fill differently; see :class:`Fields`.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import FakeDeviceArray, consume
    >>> fake = FakeDeviceArray(np.arange(3), (2, 1), stream=7)
    >>> with consume(fake.__dlpack__(stream=9, max_version=(1, 3))) as tensor:
    ...     tensor.fields.device
    (2, 1)
    >>> fake.streams, fake.runtime.waits
    ([9], [(9, 7)])
    >>> np.from_dlpack(fake, device="cpu"), fake.runtime.synchronised
    (array([0, 1, 2]), [7])
    """

    def __init__(
        self,
        array: Array,
        device: tuple[int, int] = (CUDA, 0),
        *,
        stream: int = LEGACY_STREAM,
        runtime: FakeRuntime | None = None,
        host_copies: bool = True,
        **overrides: Any,
    ) -> None:
        super().__init__(array, device=device, **overrides)
        self.device = device
        self.stream = stream
        self.runtime = runtime or FakeRuntime(strict=False)
        self.host_copies = host_copies

    @property
    def streams(self) -> list[Any]:
        """The streams that were asked for, in order."""
        return [call.stream for call in self.calls]

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def respond(self, call: Call, **overrides: Unpack[Overrides]) -> CapsuleType:
        """Do what an array on a device does."""
        if self.runtime.strict and self.runtime.current_device != self.device[1]:
            msg = f"{self!r} is on device {self.device[1]}, and device {self.runtime.current_device} is current"
            raise BufferError(msg)
        target = self.device if call.dl_device is None else call.dl_device
        if target == self.device:
            return self._here(call, overrides)
        if target == CPU and self.host_copies:
            return self._on_host(call, overrides)
        msg = f"{self!r} can't be exported to device {call.dl_device}"
        raise BufferError(msg)

    def _here(self, call: Call, overrides: Overrides) -> CapsuleType:
        if not _STREAMS.get(self.device[0], _no_stream)(call.stream):
            msg = f"{call.stream!r} is no stream of device {self.device}"
            raise ValueError(msg)
        if call.stream != -1:
            self.runtime.wait(call.stream or LEGACY_STREAM, self.stream)
        return self.copied(**overrides) if call.copy else self.capsule(**overrides)

    def _on_host(self, call: Call, overrides: Overrides) -> CapsuleType:
        if call.copy is False:
            msg = f"{self!r} is exported to the host by a copy, and copy is False"
            raise ValueError(msg)
        if call.stream is not None:
            msg = f"stream has to be None, not {call.stream!r}, for an export to the host"
            raise ValueError(msg)
        self.runtime.synchronised.append(self.stream)
        on_host: Overrides = {**overrides, "device": CPU}
        return self.copied(**on_host)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, device {self.device})"


class FakeCudaArray(FakeDeviceArray):
    """An array on a make-believe CUDA device that speaks DLPack and the CUDA array interface, as cupy's do.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.fakes import FakeCudaArray
    >>> FakeCudaArray(np.zeros(3), stream=7).__cuda_array_interface__["stream"]
    7
    """

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return cuda_array_interface(self.array, version=3, stream=self.stream)
