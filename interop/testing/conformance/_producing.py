"""What is asked of a producer's calls, capsules, versions, flags and ownership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Check, Role

if TYPE_CHECKING:
    from interop.testing.conformance._rules import Rule


def _check(
    name: str, rule: Rule, setup: str, body: str, *, risky: bool = False, at_exit: bool = False, must: bool = True
) -> Check:
    return Check(
        name=f"export-{name}",
        role=Role.PRODUCER,
        rule=rule,
        setup=setup,
        body=body,
        risky=risky,
        at_exit=at_exit,
        recommended=not must,
    )


_X: Final = 'x = make(np.arange(6, dtype="float32"))'
_CAPSULE: Final = f"{_X}\ncapsule = export(x)"
_VERSIONED: Final = f'{_CAPSULE}\nassert versioned(capsule), "it exports legacy capsules only"'
_BIG: Final = 'big = lambda: make(np.ones(1 << 18, "float32"))  # a megabyte'

CALLS: Final = (
    _check("keywords", rules.KEYWORDS, _X, "x.__dlpack__(stream=None, max_version=(1, 3), dl_device=None, copy=None)"),
    _check(
        "capsule-name",
        rules.CAPSULE,
        _X,
        """
capsule = export(x)
assert name_of(capsule) in ("dltensor", "dltensor_versioned"), name_of(capsule)
""",
    ),
    _check(
        "capsule-fresh",
        rules.CAPSULE,
        _CAPSULE,
        """
other = export(x)
assert other is not capsule and address(other) != address(capsule), "two calls gave one and the same"
""",
    ),
    _check(
        "no-max-version",
        rules.LEGACY,
        _X,
        """
try: capsule = x.__dlpack__()
except BufferError: capsule = None
assert capsule is None or not versioned(capsule), f"without max_version: a {name_of(capsule)}"
""",
    ),
    _check(
        "max-version-0.8",
        rules.LEGACY,
        f"{_X}\nx.__dlpack__(max_version=(1, 0))",
        """
try: capsule = x.__dlpack__(max_version=(0, 8))
except BufferError: capsule = None
assert capsule is None or not versioned(capsule), f"for max_version=(0, 8): a {name_of(capsule)}"
""",
    ),
    _check(
        "max-version-1.0",
        rules.MAX_VERSION,
        f"{_X}\nx.__dlpack__(max_version=(1, 3))",
        """
capsule = x.__dlpack__(max_version=(1, 0))
assert not versioned(capsule) or version_of(capsule)[0] == 1, f"version {version_of(capsule)}"
""",
    ),
    _check(
        "max-version-99.0",
        rules.MAX_VERSION,
        f"{_X}\nx.__dlpack__(max_version=(1, 0))",
        """
capsule = x.__dlpack__(max_version=(99, 0))
assert not versioned(capsule) or version_of(capsule)[0] < 99, f"version {version_of(capsule)}"
""",
    ),
    _check(
        "versioned",
        rules.VERSIONED,
        f"{_X}\ncapsule = x.__dlpack__(max_version=(1, 3))",
        'assert versioned(capsule), f"for max_version=(1, 3): a {name_of(capsule)}"',
        must=False,
    ),
    _check(
        "version-field",
        rules.VERSION_FIELD,
        _VERSIONED,
        """
major, minor = version_of(capsule)
assert major == 1 and minor < 100, f"version {major}.{minor}"
""",
    ),
    _check(
        "flags-known",
        rules.FLAGS,
        _VERSIONED,
        """
flags = flags_of(capsule)
assert flags < 8, f"flags {flags:#x}"
""",
    ),
    _check(
        "stream-none",
        rules.STREAM_HOST,
        f'{_CAPSULE}\nassert read(capsule)[1] == 1, "it is not on the host"',
        "export(x, stream=None)",
    ),
    _check(
        "stream-1",
        rules.STREAM_HOST,
        f'{_CAPSULE}\nassert read(capsule)[1] == 1, "it is not on the host"',
        """
try: export(x, stream=1)
except Exception: pass
else: raise AssertionError("stream=1 is accepted on the host")
""",
    ),
    _check(
        "stream-minus-1",
        rules.STREAM_HOST,
        f'{_CAPSULE}\nassert read(capsule)[1] == 1, "it is not on the host"',
        """
try: export(x, stream=-1)
except Exception: pass
else: raise AssertionError("stream=-1 is accepted on the host")
""",
        must=False,
    ),
    _check(
        "stream-0",
        rules.STREAM_ZERO,
        f'{_CAPSULE}\nassert read(capsule)[1] == 2, "it is not on a CUDA device"',
        """
try: export(x, stream=0)
except Exception: pass
else: raise AssertionError("stream=0 is accepted on CUDA")
""",
    ),
    _check(
        "dl-device-unknown",
        rules.DL_DEVICE,
        f"{_X}\nx.__dlpack__(dl_device=None)",
        """
try: capsule = x.__dlpack__(dl_device=(99, 0), max_version=(1, 3))
except BufferError: capsule = None
assert capsule is None, f"dl_device=(99, 0) gives a capsule on device {read(capsule)[1:3]}"
""",
    ),
    _check(
        "dl-device-own",
        rules.DL_DEVICE,
        f"""
{_X}
x.__dlpack__(dl_device=None)
kind, index = x.__dlpack_device__()
assert read(export(x))[1:3] == (kind, index), "its capsules are on another device than __dlpack_device__ says"
""",
        """
capsule = x.__dlpack__(dl_device=(kind, index), max_version=(1, 3))
assert read(capsule)[1:3] == (kind, index), f"on {read(capsule)[1:3]} for dl_device={kind, index}"
""",
    ),
    _check(
        "dl-device-host",
        rules.DL_HOST,
        f"{_X}\nx.__dlpack__(dl_device=None)",
        """
try: capsule = x.__dlpack__(dl_device=(1, 0), max_version=(1, 3))
except BufferError: capsule = None
assert capsule is None or read(capsule)[1] == 1, f"on {read(capsule)[1:3]} for dl_device=(1, 0)"
""",
    ),
    _check(
        "refusal",
        rules.REFUSAL,
        """
refused = REFUSED
assert refused, "no refused= was given: what the library must not export"
""",
        """
for x in refused:
    try: capsule = x.__dlpack__()
    except BufferError: capsule = None
    assert capsule is None, f"{type(x).__name__} {x!r:.60} is exported"
""",
        risky=True,
    ),
)

COPIES: Final = (
    _check(
        "copy-true",
        rules.COPY,
        f"""
{_CAPSULE}
values(capsule)
try: x.__dlpack__(copy=True, max_version=(1, 3))
except (BufferError, TypeError) as error: raise LookupError(f"it refuses copy=True: {{error}}")
except Exception: pass  # no way to refuse
""",
        """
copy = x.__dlpack__(copy=True, max_version=(1, 3))
assert read(copy)[0] + read(copy)[9] != read(capsule)[0] + read(capsule)[9], "copy=True gives the memory itself"
assert values(copy) == values(capsule), f"the copy has {values(copy)}"
""",
    ),
    _check(
        "copy-false",
        rules.COPY,
        f"{_X}\ncapsule = x.__dlpack__(copy=False, max_version=(1, 3))",
        """
other = x.__dlpack__(copy=False, max_version=(1, 3))
assert read(other)[0] == read(capsule)[0], "copy=False gives other memory each time"
""",
    ),
    _check(
        "copied-flag",
        rules.IS_COPIED,
        f"""
{_X}
capsule, copy = export(x), x.__dlpack__(copy=True, max_version=(1, 3))
assert versioned(copy), "it exports legacy capsules only, which have no flags"
assert read(copy)[0] != read(capsule)[0], "copy=True makes no copy"
""",
        """
flags = flags_of(copy)
assert flags & 2, f"copy=True copies, and the flags are {flags}"
""",
    ),
    _check(
        "copied-flag-true",
        rules.IS_COPIED,
        _VERSIONED + '\nassert flags_of(capsule) & 2, "it says of no export that it is a copy"',
        """
other = export(x)
assert read(other)[0] != read(capsule)[0], "two exports that are copies, as they say, are on one memory"
""",
    ),
    _check(
        "readonly-flag",
        rules.READ_ONLY,
        """
x = readonly(np.arange(6, dtype="float32"))
capsule = export(x)
assert versioned(capsule), "it exports legacy capsules only, which have no flags"
""",
        """
flags = flags_of(capsule)
assert flags & 1, f"a readonly array, and the flags are {flags}"
""",
    ),
    _check(
        "readonly-legacy",
        rules.READ_ONLY_LEGACY,
        'x = readonly(np.arange(6, dtype="float32"))',
        """
try: capsule = x.__dlpack__()
except BufferError: capsule = None
assert capsule is None or versioned(capsule), f"a readonly array goes out in a {name_of(capsule)}"
""",
        must=False,
    ),
)

OWNERSHIP: Final = (
    _check(
        "used-capsule",
        rules.DESTRUCTOR,
        _CAPSULE,
        """
deleted = []; deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleted.append)
deleter_of(capsule).value = ctypes.cast(deleter, ctypes.c_void_p).value
used = ctypes.c_char_p(b"used_dltensor" + b"_versioned" * versioned(capsule)); rename(capsule, used)
del capsule; gc.collect()
assert not deleted, "a used capsule called the deleter when it died"
""",
        risky=True,
    ),
    _check(
        "unconsumed-capsule",
        rules.DESTRUCTOR,
        f"{_BIG}\nexport(big()); assert os.path.exists('/proc/self/statm'), 'no /proc to see the memory by'",
        """
before = memory()
for _ in range(200): export(big())
assert memory() - before < 100 << 20, f"200 unconsumed megabytes: {(memory() - before) >> 20} are still there"
""",
    ),
    _check(
        "deleter-frees",
        rules.DELETER,
        f"""
{_BIG}
def consume(capsule):
    managed, delete = address(capsule), ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter_of(capsule).value)
    rename(capsule, used[versioned(capsule)]); delete(managed)
used = [ctypes.c_char_p(b"used_dltensor"), ctypes.c_char_p(b"used_dltensor_versioned")]
assert deleter_of(export(big())).value, "the deleter is NULL"
assert os.path.exists('/proc/self/statm'), "no /proc to see the memory by"
""",
        """
before = memory()
for _ in range(200): consume(export(big()))
assert memory() - before < 100 << 20, f"200 megabytes consumed and deleted: {(memory() - before) >> 20} are still there"
""",
        risky=True,
    ),
    _check(
        "references",
        rules.DELETER,
        _CAPSULE,
        """
del capsule
before = sys.getrefcount(x)
for _ in range(2000): export(x)
assert sys.getrefcount(x) - before < 200, f"{sys.getrefcount(x) - before} references more after 2000 exports"
""",
    ),
    _check(
        "lifetime",
        rules.LIFETIME,
        f"{_CAPSULE}\nseen = values(capsule)",
        """
del x; gc.collect(); others = [make(np.full(6, 9, "float32")) for _ in range(100)]
assert values(capsule) == seen, f"the array is gone, and the capsule's memory changed: {values(capsule)}"
""",
        risky=True,
    ),
    _check(
        "deleter-thread",
        rules.GIL,
        f'{_CAPSULE}\nassert deleter_of(capsule).value, "the deleter is NULL"',
        """
delete, managed = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleter_of(capsule).value), address(capsule)
used = ctypes.c_char_p(b"used_dltensor" + b"_versioned" * versioned(capsule)); rename(capsule, used)
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
used = ctypes.c_char_p(b"used_dltensor" + b"_versioned" * versioned(capsule)); rename(capsule, used)
""",
        risky=True,
        at_exit=True,
    ),
    _check(
        "threads",
        rules.LIFETIME,
        f"{_CAPSULE}\nexpected = values(capsule)",
        """
with ThreadPoolExecutor(8) as pool: seen = set(pool.map(lambda _: tuple(values(export(x))), range(500)))
assert seen == {tuple(expected)}, f"exported by eight threads at once: {seen}"
""",
        risky=True,
    ),
)
