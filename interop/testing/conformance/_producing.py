"""What is asked of a producer's calls, capsules, versions, flags and copies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Role, check

if TYPE_CHECKING:
    from interop.testing.conformance._check import Check

_check: Final = partial(check, Role.PRODUCER)

_X: Final = 'x = make(np.arange(6, dtype="float32"))'
_CAPSULE: Final = f"{_X}\ncapsule = export(x)"
_VERSIONED: Final = f'{_CAPSULE}\nassert versioned(capsule), "it exports legacy capsules only"'


def _newer(name: str, major: int) -> Check:
    """Check that a consumer of a newer major version is answered in one that there is."""
    return _check(
        f"max-version-{name}",
        rules.MAX_VERSION,
        _X,
        f"""
capsule = x.__dlpack__(max_version=({major}, 0))
major = version_of(capsule)[0] if "versioned" in repr(capsule) else 0
assert major < {major}, f"max_version=({major}, 0) gives version {{major}}"
""",
        applies="x.__dlpack__(max_version=(1, 0))",
    )


CALLS: Final = (
    _check("keywords", rules.KEYWORDS, _X, "x.__dlpack__(stream=None, max_version=(1, 3), dl_device=None, copy=None)"),
    _check(
        "capsule-name",
        rules.CAPSULE,
        _X,
        """
capsule = export(x)
names = '<capsule object "dltensor"', '<capsule object "dltensor_versioned"'
assert repr(capsule).startswith(names), f"{capsule!r:.60}"
""",
    ),
    _check(
        "capsule-fresh",
        rules.CAPSULE,
        _X,
        """
capsule, other = export(x), export(x)
assert address(other) != address(capsule), "two calls gave one and the same"
""",
    ),
    _check(
        "no-max-version",
        rules.LEGACY,
        _X,
        """
try: capsule = x.__dlpack__()
except BufferError: capsule = None
assert "versioned" not in repr(capsule), "without max_version it gives a versioned capsule"
""",
    ),
    _check(
        "max-version-0.8",
        rules.LEGACY,
        _X,
        """
try: capsule = x.__dlpack__(max_version=(0, 8))
except BufferError: capsule = None
assert "versioned" not in repr(capsule), "max_version=(0, 8) gives a versioned capsule"
""",
        applies="x.__dlpack__(max_version=(1, 0))",
    ),
    _check(
        "max-version-1.0",
        rules.MAX_VERSION,
        _X,
        """
capsule = x.__dlpack__(max_version=(1, 0))
major = version_of(capsule)[0] if "versioned" in repr(capsule) else 0
assert major < 2, f"max_version=(1, 0) gives version {major}"
""",
        applies="x.__dlpack__(max_version=(1, 3))",
    ),
    _newer("2.0", 2),
    _newer("99.0", 99),
    _check(
        "versioned",
        rules.VERSIONED,
        f"{_X}\ncapsule = x.__dlpack__(max_version=(1, 3))",
        'assert "versioned" in repr(capsule), "max_version=(1, 3) gives a legacy capsule"',
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
        _X,
        """
try: x.__dlpack__(dl_device=(99, 0), max_version=(1, 3))
except BufferError: pass
else: raise AssertionError("dl_device=(99, 0) is accepted")
""",
        applies="x.__dlpack__(dl_device=None)",
    ),
    _check(
        "dl-device-own",
        rules.DL_DEVICE,
        _X,
        """
told = tuple(x.__dlpack_device__())
device = read(x.__dlpack__(dl_device=told, max_version=(1, 3)))[1:3]
assert device == told, f"on {device} for dl_device={told}"
""",
        applies="""
x.__dlpack__(dl_device=None)
told = tuple(x.__dlpack_device__())
assert read(export(x))[1:3] == told, "its capsules are on another device than __dlpack_device__ says"
""",
    ),
    _check(
        "dl-device-host",
        rules.DL_HOST,
        _X,
        """
try: capsule = x.__dlpack__(dl_device=(1, 0), max_version=(1, 3))
except BufferError: capsule = None
device = capsule and read(capsule)[1:3]
assert device is None or device[0] == 1, f"on {device} for dl_device=(1, 0)"
""",
        applies="x.__dlpack__(dl_device=None)",
    ),
    _check(
        "refusal",
        rules.REFUSAL,
        """
refused = REFUSED
assert refused, "not tested: no refused= was given: what the library must not export"
""",
        """
for x in refused:
    try: x.__dlpack__()
    except BufferError: continue
    raise AssertionError(f"{type(x).__name__} {x!r:.60} is exported")
""",
        risky=True,
    ),
)


def _copies(name: str, how: str, without: str) -> Check:
    """Check that ``copy=True`` copies in another call than the newest, where either without the other is answered."""
    return _check(
        name,
        rules.COPY,
        _CAPSULE,
        f"""
copy = x.__dlpack__(copy=True{how})
assert read(copy)[0] + read(copy)[9] != read(capsule)[0] + read(capsule)[9], "copy=True{how} gives the memory itself"
""",
        applies=f"""
copy = x.__dlpack__(copy=True, max_version=(1, 3))
assert read(copy)[0] + read(copy)[9] != read(capsule)[0] + read(capsule)[9], "copy=True makes no copy"
x.__dlpack__({without})
""",
    )


COPIES: Final = (
    _check(
        "copy-true",
        rules.COPY,
        _CAPSULE,
        """
copy = x.__dlpack__(copy=True, max_version=(1, 3))
assert read(copy)[0] + read(copy)[9] != read(capsule)[0] + read(capsule)[9], "copy=True gives the memory itself"
class Copy: __dlpack_device__ = lambda self: (1, 0); __dlpack__ = lambda self, **_: copy
assert np.from_dlpack(Copy()).tolist() == [0, 1, 2, 3, 4, 5], "the copy has other values"
""",
        applies="""
assert np.from_dlpack(x).tolist() == [0, 1, 2, 3, 4, 5]
try: x.__dlpack__(copy=True, max_version=(1, 3))
except (BufferError, TypeError) as error: raise LookupError(f"it refuses copy=True: {error}")
except Exception: pass  # no way to refuse
""",
    ),
    _copies("copy-true-legacy", "", without=""),
    _copies(
        "copy-true-device",
        ", dl_device=tuple(x.__dlpack_device__()), max_version=(1, 3)",
        without="dl_device=tuple(x.__dlpack_device__()), max_version=(1, 3)",
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
        _X,
        """
copy = x.__dlpack__(copy=True, max_version=(1, 3))
flags = flags_of(copy)
assert flags & 2, f"copy=True copies, and the flags are {flags}"
""",
        applies="""
capsule, copy = export(x), x.__dlpack__(copy=True, max_version=(1, 3))
assert versioned(copy), "it exports legacy capsules only, which have no flags"
assert read(copy)[0] != read(capsule)[0], "copy=True makes no copy"
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
assert capsule is None or "versioned" in repr(capsule), "a readonly array goes out in a legacy capsule"
""",
        must=False,
    ),
)
