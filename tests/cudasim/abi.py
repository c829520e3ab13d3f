"""`src/cudasim.h` for ctypes: its structures and the types of its functions."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_char, c_char_p, c_int, c_int32, c_size_t, c_uint64, c_void_p
from typing import Any

#: The kinds of memory, by their numbers.
MEMORY = ("device", "pinned", "managed", "registered")


class Finding(Structure):
    """cudasim_finding."""

    _fields_ = (
        ("id", c_uint64),
        ("kind", c_int32),
        ("device", c_int32),
        ("allocation", c_uint64),
        ("operation", c_uint64),
        ("other_operation", c_uint64),
        ("stream", c_void_p),
        ("other_stream", c_void_p),
        ("text", c_char * 512),
    )


class Allocation(Structure):
    """cudasim_allocation."""

    _fields_ = (("id", c_uint64), ("address", c_void_p), ("size", c_uint64), ("device", c_int32), ("kind", c_int32))


class Operation(Structure):
    """cudasim_operation."""

    _fields_ = (
        ("id", c_uint64),
        ("stream", c_void_p),
        ("device", c_int32),
        ("held", c_int32),
        ("text", c_char * 200),
    )


#: Each function's result, and its arguments.
FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "cudasim_mode": (c_int, []),
    "cudasim_set_mode": (c_int, [c_int]),
    "cudasim_set_polls": (c_int, [c_int]),
    "cudasim_set_delay_ms": (c_int, [c_int]),
    "cudasim_set_stuck_s": (c_int, [c_int]),
    "cudasim_set_kernels": (c_int, [c_int]),
    "cudasim_devices": (c_int, []),
    "cudasim_hold": (None, [c_void_p]),
    "cudasim_release": (None, [c_void_p]),
    "cudasim_step": (c_int, [c_void_p]),
    "cudasim_run": (None, []),
    "cudasim_settle": (None, []),
    "cudasim_take_findings": (c_size_t, [POINTER(Finding), c_size_t]),
    "cudasim_clear_findings": (None, []),
    "cudasim_finding_name": (c_char_p, [c_int]),
    "cudasim_counter": (c_uint64, [c_char_p]),
    "cudasim_counter_name": (c_char_p, [c_size_t]),
    "cudasim_reset_counters": (None, []),
    "cudasim_allocations": (c_size_t, [POINTER(Allocation), c_size_t, c_uint64]),
    "cudasim_pending": (c_size_t, [POINTER(Operation), c_size_t]),
    "cudasim_last_allocation": (c_uint64, []),
    "cudasim_describe": (None, [c_void_p, c_char_p, c_size_t]),
    "cudasim_peek": (c_int, [c_void_p, c_void_p, c_size_t]),
    "cudasim_poke": (c_int, [c_void_p, c_void_p, c_size_t]),
    "cudasim_set_diagnosis_file": (None, [c_int]),
    "cudasim_set_memory": (None, [c_int, c_uint64]),
}

#: Two of CUDA's own.
ERRORS: dict[str, tuple[Any, list[Any]]] = {
    "cudaGetLastError": (c_int, []),
    "cudaGetErrorName": (c_char_p, [c_int]),
}


def declare(library: ctypes.CDLL) -> None:
    """Tell ctypes the types of all of them."""
    for name, (result, arguments) in (FUNCTIONS | ERRORS).items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
