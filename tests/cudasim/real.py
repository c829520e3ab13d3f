"""The real CUDA devices of this machine, asked in a process of its own: the question binds a process to its driver."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

ASK = """
import ctypes, json

names = []
try:
    driver = ctypes.CDLL("libcuda.so.1")
except OSError:
    driver = None
count = ctypes.c_int()
if driver is not None and driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
    for index in range(count.value):
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        driver.cuDeviceGet(ctypes.byref(device), index)
        driver.cuDeviceGetName(name, len(name), device)
        names.append(name.value.decode())
print(json.dumps(names))
"""


@cache
def real_devices() -> tuple[str, ...]:
    """The names of the real CUDA devices: () where there is none, or no driver."""
    done = subprocess.run([sys.executable, "-I", "-c", ASK], check=False, capture_output=True, text=True)
    return tuple(json.loads(done.stdout)) if done.returncode == 0 else ()
