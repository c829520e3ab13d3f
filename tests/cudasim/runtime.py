"""The CUDA runtime by ctypes, as the tests of its rules call it: simulated or real, whichever torch has loaded."""

from __future__ import annotations

import contextlib
import ctypes
import enum
import time
from ctypes import POINTER, byref, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

import numpy as np


class Error(enum.IntEnum):
    """cudaError_t, as far as these tests meet it."""

    SUCCESS = 0
    INVALID_VALUE = 1
    MEMORY_ALLOCATION = 2
    INITIALIZATION_ERROR = 3
    INVALID_MEMCPY_DIRECTION = 21
    HOST_MEMORY_NOT_REGISTERED = 713
    INVALID_DEVICE = 101
    INVALID_RESOURCE_HANDLE = 400
    ILLEGAL_STATE = 401
    NOT_READY = 600
    HOST_MEMORY_ALREADY_REGISTERED = 712
    LAUNCH_TIMEOUT = 702
    NOT_PERMITTED = 800
    NOT_SUPPORTED = 801
    CAPTURE_UNSUPPORTED = 900
    CAPTURE_INVALIDATED = 901
    CAPTURE_MERGE = 902
    CAPTURE_UNMATCHED = 903
    CAPTURE_UNJOINED = 904
    CAPTURE_ISOLATION = 905
    CAPTURE_IMPLICIT = 906
    CAPTURED_EVENT = 907
    CAPTURE_WRONG_THREAD = 908


class CudaError(Exception):
    """A call failed."""

    def __init__(self, name: str, code: int) -> None:
        self.code = code
        super().__init__(f"{name}: {Error(code).name if code in list(Error) else code}")


class Attributes(ctypes.Structure):
    """struct cudaPointerAttributes."""

    _fields_ = (
        ("type", c_int),
        ("device", c_int),
        ("device_pointer", c_void_p),
        ("host_pointer", c_void_p),
        ("reserved", ctypes.c_long * 8),
    )


#: cudaHostFn_t.
HostFunction = ctypes.CFUNCTYPE(None, c_void_p)

#: cudaMemcpyKind, cudaStreamCreateWithFlags, cudaStreamCaptureMode, the default streams, cudaMemoryType.
H2H, H2D, D2H, D2D, DEFAULT = range(5)
BLOCKING, NON_BLOCKING = 0, 1
GLOBAL, THREAD_LOCAL, RELAXED = range(3)
LEGACY, PER_THREAD = 1, 2
UNREGISTERED, HOST, DEVICE, MANAGED = range(4)

_P, _Z, _I, _U = c_void_p, c_size_t, c_int, c_uint
FUNCTIONS: dict[str, list[Any]] = {
    "SetDevice": [_I],
    "GetDevice": [POINTER(_I)],
    "DeviceSynchronize": [],
    "GetLastError": [],
    "PeekAtLastError": [],
    "StreamCreateWithFlags": [POINTER(_P), _U],
    "StreamDestroy": [_P],
    "StreamSynchronize": [_P],
    "StreamQuery": [_P],
    "StreamWaitEvent": [_P, _P, _U],
    "StreamGetFlags": [_P, POINTER(_U)],
    "StreamGetDevice": [_P, POINTER(_I)],
    "StreamBeginCapture": [_P, _I],
    "StreamEndCapture": [_P, POINTER(_P)],
    "StreamIsCapturing": [_P, POINTER(_I)],
    "StreamGetCaptureInfo": [_P, POINTER(_I), POINTER(c_ulonglong), POINTER(_P), POINTER(_P), POINTER(_P), POINTER(_Z)],
    "ThreadExchangeStreamCaptureMode": [POINTER(_I)],
    "GraphInstantiate": [POINTER(_P), _P, c_ulonglong],
    "GraphLaunch": [_P, _P],
    "GraphGetNodes": [_P, _P, POINTER(_Z)],
    "GraphDestroy": [_P],
    "GraphExecDestroy": [_P],
    "EventCreateWithFlags": [POINTER(_P), _U],
    "EventDestroy": [_P],
    "EventRecord": [_P, _P],
    "EventSynchronize": [_P],
    "EventQuery": [_P],
    "EventElapsedTime": [POINTER(c_float), _P, _P],
    "LaunchHostFunc": [_P, _P, _P],
    "Malloc": [POINTER(_P), _Z],
    "MallocAsync": [POINTER(_P), _Z, _P],
    "MallocManaged": [POINTER(_P), _Z, _U],
    "Free": [_P],
    "FreeAsync": [_P, _P],
    "HostAlloc": [POINTER(_P), _Z, _U],
    "FreeHost": [_P],
    "HostRegister": [_P, _Z, _U],
    "HostUnregister": [_P],
    "PointerGetAttributes": [POINTER(Attributes), _P],
    "MemGetInfo": [POINTER(_Z), POINTER(_Z)],
    "Memcpy": [_P, _P, _Z, _I],
    "MemcpyAsync": [_P, _P, _Z, _I, _P],
    "MemcpyPeerAsync": [_P, _I, _P, _I, _Z, _P],
    "Memcpy2DAsync": [_P, _Z, _P, _Z, _Z, _Z, _I, _P],
    "Memset": [_P, _I, _Z],
    "MemsetAsync": [_P, _I, _Z, _P],
}


class Pinned:
    """Pinned host memory that numpy sees."""

    def __init__(self, pointer: int, size: int) -> None:
        self.pointer = pointer
        self.bytes = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(pointer))


class Runtime:
    """The runtime that torch runs on: `call` raises an error, `code` returns it, others make things for one test."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        for name, arguments in FUNCTIONS.items():
            getattr(library, f"cuda{name}").argtypes = arguments
        self._cleanup = contextlib.ExitStack()

    def code(self, name: str, *arguments: Any) -> Error:
        """The error is dealt with by asking for it: it doesn't stay the runtime's last error."""
        code = getattr(self.library, f"cuda{name}")(*arguments)
        if code not in list(Error):
            raise CudaError(name, code)
        if code and name not in {"GetLastError", "PeekAtLastError"}:
            self.library.cudaGetLastError()
        return Error(code)

    def call(self, name: str, *arguments: Any) -> None:
        code = getattr(self.library, f"cuda{name}")(*arguments)
        if code:
            raise CudaError(name, code)

    def made(self, name: str, *arguments: Any) -> int:
        """What a call writes to its first argument, a pointer."""
        out = c_void_p()
        self.call(name, byref(out), *arguments)
        return out.value or 0

    def stream(self, flags: int = NON_BLOCKING) -> int:
        stream = self.made("StreamCreateWithFlags", flags)
        self._cleanup.callback(self.code_of_cleanup, "StreamDestroy", stream)
        return stream

    def event(self, flags: int = 0) -> int:
        event = self.made("EventCreateWithFlags", flags)
        self._cleanup.callback(self.code_of_cleanup, "EventDestroy", event)
        return event

    def memory(self, size: int = 64, value: int = 0) -> int:
        """Device memory, filled."""
        pointer = self.made("Malloc", size)
        self._cleanup.callback(self.code_of_cleanup, "Free", pointer)
        self.call("Memset", pointer, value, size)
        self.call("DeviceSynchronize")
        return pointer

    def pinned(self, size: int = 64, value: int = 0) -> Pinned:
        pointer = self.made("HostAlloc", size, 0)
        self._cleanup.callback(self.code_of_cleanup, "FreeHost", pointer)
        pinned = Pinned(pointer, size)
        pinned.bytes[:] = value
        return pinned

    def managed(self, size: int = 64) -> Pinned:
        """Managed memory, which numpy sees too."""
        pointer = self.made("MallocManaged", size, 1)
        self._cleanup.callback(self.code_of_cleanup, "Free", pointer)
        return Pinned(pointer, size)

    def forget(self) -> None:
        """Leave what was made to the test: it has destroyed it, or that is what it is about."""
        self._cleanup.pop_all()

    def code_of_cleanup(self, name: str, handle: int) -> None:
        getattr(self.library, f"cuda{name}")(handle)

    def close(self) -> None:
        self.library.cudaSetDevice(0)
        self.library.cudaDeviceSynchronize()
        self._cleanup.close()
        self.library.cudaGetLastError()

    # -- work ------------------------------------------------------------------------------------------------------

    def fill(self, target: int, value: int, stream: int, size: int = 64) -> None:
        self.call("MemsetAsync", target, value, size, stream)

    def copy(self, target: int | Pinned, source: int | Pinned, stream: int, size: int = 64) -> None:
        """Asynchronous, between any two of device memory and pinned memory."""
        to, from_ = (each.pointer if isinstance(each, Pinned) else each for each in (target, source))
        self.call("MemcpyAsync", to, from_, size, DEFAULT, stream)

    def read(self, source: int, size: int = 64) -> list[int]:
        """What device memory holds once everything has run."""
        self.call("DeviceSynchronize")
        out = np.empty(size, np.uint8)
        self.call("Memcpy", out.ctypes.data, source, size, D2H)
        return sorted(set(out.tolist()))

    # -- waiting ---------------------------------------------------------------------------------------------------

    def is_ready(self, call: str, handle: int) -> bool:
        """A query, asked again a few times: the simulated device lets one that can complete do so only then."""
        return any(self.code(call, handle) == Error.SUCCESS for _ in range(20))

    def completes(self, call: str, handle: int) -> bool:
        """A query, asked until it says yes, or far too long."""
        until = time.monotonic() + 20
        while (code := self.code(call, handle)) == Error.NOT_READY and time.monotonic() < until:
            pass
        return code == Error.SUCCESS
