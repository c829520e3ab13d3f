"""What is asked of who owns what a producer hands out, how long, and who may give it back."""

from __future__ import annotations

from functools import partial
from typing import Final

from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Role, check

_check: Final = partial(check, Role.PRODUCER)

_X: Final = 'x = make(np.arange(6, dtype="float32"))'
_CAPSULE: Final = f"{_X}\ncapsule = export(x)"
_BIG: Final = 'big = lambda: make(np.ones(1 << 18, "float32"))  # a megabyte'

OWNERSHIP: Final = (
    _check(
        "used-capsule",
        rules.DESTRUCTOR,
        _CAPSULE,
        """
deleted = []; deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleted.append)
deleter_of(capsule).value = ctypes.cast(deleter, ctypes.c_void_p).value
used = ctypes.c_char_p(b"used_" + name_of(capsule).encode()); rename(capsule, used)
del capsule; gc.collect()
assert not deleted, "a used capsule called the deleter when it died"
""",
        risky=True,
    ),
    _check(
        "unconsumed-capsule",
        rules.DESTRUCTOR,
        _BIG,
        """
for n in range(400):
    if n == 200: before = memory()  # what allocators keep, they have by now
    export(big())
assert memory() - before < 100 << 20, f"200 unconsumed megabytes: {(memory() - before) >> 20} are still there"
""",
        applies="""
export(big())
assert os.path.exists("/proc/self/statm"), "not tested: there is no /proc to see the memory by"
""",
    ),
    _check(
        "deleter-frees",
        rules.DELETER,
        f"""
{_BIG}
def consume(capsule):
    managed, delete = address(capsule), ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter_of(capsule).value)
    rename(capsule, used); delete(managed)
used = ctypes.c_char_p(b"used_" + name_of(export(big())).encode())
assert deleter_of(export(big())).value, "the deleter is NULL"
assert os.path.exists("/proc/self/statm"), "not tested: there is no /proc to see the memory by"
""",
        """
for n in range(400):
    if n == 200: before = memory()  # what allocators keep, they have by now
    consume(export(big()))
assert memory() - before < 100 << 20, f"200 megabytes consumed and deleted: {(memory() - before) >> 20} are still there"
""",
        risky=True,
    ),
    _check(
        "references",
        rules.DELETER,
        _X,
        """
before = sys.getrefcount(x)
for _ in range(2000): export(x)
assert sys.getrefcount(x) - before < 200, f"{sys.getrefcount(x) - before} references more after 2000 exports"
""",
        applies="export(x)",
    ),
    _check(
        "lifetime",
        rules.LIFETIME,
        f"{_X}\ny = np.from_dlpack(x)",
        """
del x; gc.collect(); others = [make(np.full(6, 9, "float32")) for _ in range(100)]
assert y.tolist() == [0, 1, 2, 3, 4, 5], f"the array is gone, and its export has {y.tolist()}"
""",
        applies="assert y.tolist() == [0, 1, 2, 3, 4, 5]",
        risky=True,
    ),
    _check(
        "deleter-thread",
        rules.GIL,
        f'{_CAPSULE}\nassert deleter_of(capsule).value, "the deleter is NULL"',
        """
delete, managed = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter_of(capsule).value), address(capsule)
used = ctypes.c_char_p(b"used_" + name_of(capsule).encode()); rename(capsule, used)
del x, capsule
thread = threading.Thread(target=delete, args=[managed]); thread.start(); thread.join()  # without the GIL
""",
        risky=True,
    ),
    _check(
        "deleter-after-exit",
        rules.FINALIZED,
        f"""
{_CAPSULE}
assert deleter_of(capsule).value, "the deleter is NULL"
assert sys.platform == "linux", "no __cxa_atexit to call it by"
""",
        """
at_exit = ctypes.CDLL(None).__cxa_atexit; at_exit.argtypes = [ctypes.c_void_p] * 3
at_exit(deleter_of(capsule).value, address(capsule), None)  # the process ends with the deleter
used = ctypes.c_char_p(b"used_" + name_of(capsule).encode()); rename(capsule, used)
""",
        risky=True,
        at_exit=True,
    ),
    _check(
        "threads",
        rules.LIFETIME,
        _X,
        """
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    seen = set(pool.map(lambda _: tuple(np.from_dlpack(x).tolist()), range(500)))
assert seen == {(0, 1, 2, 3, 4, 5)}, f"exported by eight threads at once: {seen}"
""",
        applies="assert np.from_dlpack(x).tolist() == [0, 1, 2, 3, 4, 5]",
        risky=True,
    ),
)
