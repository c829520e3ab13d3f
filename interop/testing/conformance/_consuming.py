"""What is asked of a consumer: that it takes every export that is right, reads it right, and refuses what it must.

The exports are numpy's, some with one field changed in place. Of these there is one, in a capsule of the kind that the
consumer asks for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from interop._dtypes import ROWS
from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Check, Role, check

if TYPE_CHECKING:
    from interop.testing.conformance._rules import Rule

_check: Final = partial(check, Role.CONSUMER)


def _producer(device: str = "(1, 0)") -> str:
    """Return the text of a class whose objects export the array `a`."""
    export = "lambda self, **keywords: a.__dlpack__(**keywords)"
    return f"class Producer: __dlpack_device__ = lambda self: {device}; __dlpack__ = {export}"


def _patched(*patches: str, device: str = "(1, 0)") -> str:
    """Return the text of a class whose objects export the array `a` once, after these changes to the capsule."""
    export = f"class Producer: __dlpack_device__ = lambda self: {device}; __dlpack__ = lambda self, **_: capsule"
    return "\n".join(["capsule = EXPORTED", *patches, export])


_ROW: Final = 'np.arange(6, dtype="float32")'
# At the alignment that libraries ask for at most, so that chance doesn't decide between view and copy.
_A: Final = 'a = np.empty(22, "float32"); a = a[-a.ctypes.data % 64 // 4 :][:6]; a[:] = range(6)'
_PLAIN: Final = f"{_A}\n{_producer()}"


def _counted(*patches: str) -> str:
    """Return the text of a producer whose capsule's deleter notes that it was called, and frees nothing."""
    counting = "deleted = []; deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleted.append)"
    slot = "ctypes.c_void_p.from_address(DELETER).value = ctypes.cast(deleter, ctypes.c_void_p).value"
    return "\n".join([counting, _A, _patched(slot, *patches)])


def _poke(offset: int, value: str, kind: str = "c_int64", at: str = "TENSOR") -> str:
    return f"ctypes.{kind}.from_address({at}{f' + {offset}' * (offset > 0)}).value = {value}"


# Where the fields are in a DLTensor.
_DATA, _DEVICE, _CODE, _BITS, _LANES, _SHAPE, _STRIDES, _OFFSET = 0, 8, 20, 21, 22, 24, 32, 40


def _takes(
    name: str,
    rule: Rule,
    array: str,
    *patches: str,
    expected: str = "a.tolist()",
    risky: bool = False,
    versioned: bool = False,
    refuses: bool = False,
    ndim: int | None = None,
) -> Check:
    """Check that an export is read right; where it needn't be taken at all (`refuses`), that it isn't read wrong."""
    attempt = "seen = to_numpy(from_dlpack(Producer())).tolist()"
    if refuses:
        attempt = (
            "try: y = from_dlpack(Producer())\nexcept Exception: sys.exit()  # refused, as it may be\n"
            "seen = to_numpy(y).tolist()"
        )
    return _check(
        name,
        rule,
        f"a = {array}\n{_patched(*patches) if patches else _producer()}",
        f"""
{attempt}
assert seen == {expected}, f"{{{expected}}} is read as {{seen}}"
""",
        risky=risky,
        versioned=versioned,
        ndim=ndim,
    )


def _unmistaken(
    name: str, rule: Rule, *patches: str, fields: str, truth: str, array: str = _ROW, device: str = "(1, 0)"
) -> Check:
    """Check that an export is refused, or taken as what it is, as a library without types of its own may do."""
    return _check(
        name,
        rule,
        f"a = {array}\n{_patched(*patches, device=device)}",
        f"""
try: y = from_dlpack(Producer()).__dlpack__()
except Exception: sys.exit()  # refused, as it may be
seen = read(y)[{fields}]
assert seen == {truth}, f"{truth} is taken, as {{seen}}"
""",
        risky=True,
    )


def _asked(keyword: str) -> str:
    """Return the text of an exchange that notes what the consumer passes as a keyword, and does without streams."""
    return f"""\
asked, a = [], {_ROW}
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **keywords):
        asked.append(keywords.get("{keyword}")); return a.__dlpack__(**keywords | {{"stream": None}})
from_dlpack(Producer())"""


CALLS: Final = (
    _takes("takes", rules.TAKES, _ROW),
    _check(
        "asks-version",
        rules.ASKS_VERSION,
        _asked("max_version"),
        'assert asked[-1] is not None and tuple(asked[-1]) >= (1, 0), f"max_version is {asked[-1]}"',
        applies='assert asked, "it asks for no capsule"',
        must=False,
    ),
    _check(
        "stream-host",
        rules.CONSUMER_STREAM,
        _asked("stream"),
        'assert set(asked) == {None}, f"stream={asked[0]}"',
        applies='assert asked, "it asks for no capsule"',
    ),
    _check(
        "old-producer",
        rules.OLD_PRODUCER,
        f"""
{_A}
# As of 2021.
class Producer: __dlpack_device__ = lambda self: (1, 0); __dlpack__ = lambda self, stream=None: a.__dlpack__()
""",
        """
seen = to_numpy(from_dlpack(Producer())).tolist()
assert seen == [0, 1, 2, 3, 4, 5], f"read as {seen}"
""",
        must=False,
    ),
    _check(
        "legacy-answer",
        rules.VERIFY,
        f"""
{_A}
# A legacy capsule, whatever is asked for.
class Producer: __dlpack_device__ = lambda self: (1, 0); __dlpack__ = lambda self, **_: a.__dlpack__()
""",
        """
seen = to_numpy(from_dlpack(Producer())).tolist()
assert seen == [0, 1, 2, 3, 4, 5], f"read as {seen}"
""",
    ),
    _check(
        "error-propagates",
        rules.PROPAGATES,
        """
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **keywords): raise BufferError("not today")
""",
        """
try: from_dlpack(Producer())
except BufferError: pass
else: raise AssertionError("a BufferError of the producer is swallowed")
""",
    ),
    _check(
        "no-protocol",
        rules.NO_PROTOCOL,
        "",
        """
try: from_dlpack(object())
except AttributeError: pass
else: raise AssertionError("an object without __dlpack__ is taken")
""",
    ),
    _check(
        "copy-true",
        rules.CONSUMER_COPY,
        f"{_PLAIN}\ny = from_dlpack(Producer(), copy=True)",
        """
a[0] = 9
assert to_numpy(y)[0] == 0, "copy=True gives the memory itself"
""",
    ),
    _check(
        "copy-false",
        rules.CONSUMER_COPY,
        f"{_PLAIN}\ny = from_dlpack(Producer(), copy=False)",
        """
a[0] = 9
assert to_numpy(y)[0] == 9, "copy=False gives a copy"
""",
    ),
    _check(
        "copy-keyword",
        rules.CONSUMER_COPY,
        _PLAIN,
        """
try: from_dlpack(Producer(), copy=None, device=None)
except TypeError as error: raise AssertionError(f"no keywords copy and device: {error!s:.60}")
""",
        must=False,
    ),
    _check(
        "zero-copy",
        rules.ZERO_COPY,
        f"{_PLAIN}\ny = from_dlpack(Producer())",
        """
a[0] = 9
assert to_numpy(y)[0] == 9, "host memory in C order, aligned to 64 bytes, is copied"
""",
        must=False,
    ),
)

CAPSULES: Final = (
    _check(
        "renames-capsule",
        rules.RENAMES,
        f"""
{_A}
{_patched()}
y = from_dlpack(Producer())
""",
        """
assert name_of(capsule).startswith("used_dltensor"), f"after the exchange it is a {name_of(capsule)}"
""",
        applies="""
a[0] = 9
assert to_numpy(y)[0] == 9, "it copies"
""",
    ),
    _check(
        "used-capsule",
        rules.CONSUMED_ONCE,
        f"""
{_A}
{_patched()}
y = from_dlpack(Producer())
""",
        """
try: from_dlpack(Producer())
except Exception: pass
else: raise AssertionError("a capsule was consumed twice")
""",
        applies='assert name_of(capsule).startswith("used_"), "it leaves the capsule to its owner"',
        risky=True,
    ),
    _check(
        "other-capsule",
        rules.CAPSULE,
        f'{_A}\nother = ctypes.c_char_p(b"tensor")\n{_patched("rename(capsule, other)")}',
        """
try: from_dlpack(Producer())
except Exception: pass
else: raise AssertionError("a capsule named tensor is taken")
""",
        risky=True,
    ),
    _check(
        "deleter-once",
        rules.DELETER,
        f"{_counted()}\ny = from_dlpack(Producer())",
        """
del y; gc.collect()
assert len(deleted) == 1, f"the result is gone, and the deleter was called {len(deleted)} times"
""",
        risky=True,
    ),
    _check(
        "deleter-not-early",
        rules.LIFETIME,
        f"{_counted()}\ny = from_dlpack(Producer()); gc.collect()",
        """
a[0] = 9
assert not deleted or to_numpy(y)[0] == 0, "the deleter was called while the result is on the memory"
""",
        risky=True,
    ),
    _check(
        "deleter-null",
        rules.NULL_DELETER,
        f"{_A}\n{_patched('ctypes.c_void_p.from_address(DELETER).value = None')}",
        """
y = from_dlpack(Producer())
assert to_numpy(y).tolist() == [0, 1, 2, 3, 4, 5], "other values"
del y; gc.collect()
""",
        risky=True,
    ),
    _check(
        "deleter-refused",
        rules.DELETER,
        f"""
{_counted(_poke(_CODE, "99  # no element type", "c_uint8"))}
try: from_dlpack(Producer())
except Exception: pass
else: raise LookupError("it takes every element type")
""",
        """
del capsule; gc.collect()
assert len(deleted) == 1, f"a refused tensor's deleter was called {len(deleted)} times"
""",
        risky=True,
    ),
    _check(
        "lifetime",
        rules.LIFETIME,
        f"{_PLAIN}\ny = from_dlpack(Producer())",
        """
del a, Producer; gc.collect(); others = [np.full(22, 9, "float32") for _ in range(100)]
assert to_numpy(y).tolist() == [0, 1, 2, 3, 4, 5], f"the source is gone, and the result is {to_numpy(y).tolist()}"
""",
        risky=True,
    ),
    _check(
        "leaks",
        rules.DELETER,
        _PLAIN,
        """
before = sys.getrefcount(a)
for _ in range(1000): from_dlpack(Producer())
gc.collect()
assert sys.getrefcount(a) - before < 100, f"{sys.getrefcount(a) - before} of 1000 results still hold the source"
""",
        applies="from_dlpack(Producer()); gc.collect()",
    ),
    _check(
        "threads",
        rules.DELETER,
        _PLAIN,
        """
work = lambda _: tuple(to_numpy(from_dlpack(Producer())).tolist())
with concurrent.futures.ThreadPoolExecutor(8) as pool: seen = set(pool.map(work, range(500)))
assert seen == {(0, 1, 2, 3, 4, 5)}, f"by eight threads at once: {seen}"
""",
        applies="to_numpy(from_dlpack(Producer()))",
        risky=True,
    ),
    _check(
        "dropped-in-thread",
        rules.DELETER,
        f"{_counted()}\nkept = [from_dlpack(Producer())]",
        """
thread = threading.Thread(target=kept.clear); thread.start(); thread.join(); gc.collect()
assert len(deleted) == 1, f"dropped in another thread: the deleter was called {len(deleted)} times"
""",
        risky=True,
    ),
)


def _head(offset: int, value: str, kind: str) -> str:
    return _poke(offset, value, kind, "HEAD")


VERSIONS: Final = (
    _check(
        "major-version",
        rules.MAJOR,
        _counted(_head(0, "2  # version 2.0", "c_uint32")),
        """
try: y = from_dlpack(Producer())
except Exception: y = None
assert y is None, f"version 2.0 is taken, as a {type(y).__name__}"
del capsule; gc.collect()
assert len(deleted) == 1, f"the deleter was called {len(deleted)} times"
""",
        risky=True,
        versioned=True,
    ),
    _takes(
        "minor-version",
        rules.MINOR,
        _ROW,
        _head(4, "99  # version 1.99", "c_uint32"),
        versioned=True,
    ),
    _takes(
        "copied-flag",
        rules.IS_COPIED,
        _ROW,
        _head(24, "2  # IS_COPIED", "c_uint64"),
        versioned=True,
    ),
    _takes(
        "readonly-taken",
        rules.READ_ONLY,
        _ROW,
        _head(24, "1  # READ_ONLY", "c_uint64"),
        versioned=True,
    ),
    _check(
        "readonly-honoured",
        rules.HONOURS_READ_ONLY,
        "\n".join([_A, _patched(_head(24, "1  # READ_ONLY", "c_uint64")), "y = from_dlpack(Producer())"]),
        """
try: y[0] = 9
except Exception: pass  # not writable
assert a[0] == 0, "what is flagged READ_ONLY was written to"
""",
        must=False,
        versioned=True,
    ),
)

# The capsule is nobody else's: one that refuses it may have freed what its destructor frees again.
_CUDA: Final = f"""
class Producer:
    def __dlpack_device__(self): return (2, 0)
    def __dlpack__(self, **_):
        capsule = EXPORTED
        {_poke(_DEVICE, "2  # kDLCUDA", "c_int32")}
        return capsule""".strip()
_NOWHERE: Final = _patched(_poke(_DEVICE, "99", "c_int32"), device="(99, 0)")

TENSORS: Final = (
    _takes(
        "byte-offset",
        rules.BYTE_OFFSET,
        'np.arange(16, dtype="float32")[:8]',
        _poke(_OFFSET, "32", "c_uint64"),
        expected="[8, 9, 10, 11, 12, 13, 14, 15]",
    ),
    _takes(
        "strides-null",
        rules.STRIDES_NULL,
        _ROW,
        _poke(_STRIDES, "0  # NULL"),
    ),
    _takes("transposed", rules.STRIDES, 'np.arange(6, dtype="float32").reshape(2, 3).T', refuses=True),
    _takes("stepped", rules.STRIDES, 'np.arange(6, dtype="float32")[::2]', refuses=True),
    _takes("sliced-rows", rules.STRIDES, 'np.arange(6, dtype="float32").reshape(2, 3)[:, 1:]', refuses=True),
    _takes("negative-strides", rules.STRIDES, 'np.arange(6, dtype="float32")[::-1]', refuses=True, risky=True),
    _takes(
        "zero-strides",
        rules.STRIDES,
        'np.lib.stride_tricks.as_strided(np.ones(1, "float32"), (2, 3), (0, 0))',
        refuses=True,
        risky=True,
    ),
    _takes(
        "one-side-strides",
        rules.STRIDES,
        'np.lib.stride_tricks.as_strided(np.ones(1, "float32"), (1,), (400,))',
    ),
    _takes("scalar", rules.SCALAR, 'np.array(5, "float32")', ndim=0),
    _takes(
        "scalar-null",
        rules.SCALAR,
        'np.array(5, "float32")',
        _poke(_SHAPE, "0  # NULL"),
        _poke(_STRIDES, "0"),
        risky=True,
        ndim=0,
    ),
    _takes("empty", rules.EMPTY, 'np.ones(0, "float32")'),
    _takes("empty-null", rules.EMPTY, 'np.ones(0, "float32")', _poke(_DATA, "0  # NULL"), risky=True),
    _unmistaken("lanes", rules.LANES, _poke(_LANES, "2", "c_uint16"), fields="4:7", truth="(2, 32, 2)"),
    _unmistaken("dtype-unknown", rules.UNKNOWN_DTYPE, _poke(_CODE, "99", "c_uint8"), fields="4:7", truth="(99, 32, 1)"),
    _unmistaken(
        "dtype-handle",
        rules.UNKNOWN_DTYPE,
        _poke(_CODE, "3  # kDLOpaqueHandle", "c_uint8"),
        fields="4:7",
        truth="(3, 32, 1)",
    ),
    _unmistaken("dtype-bits", rules.UNKNOWN_DTYPE, _poke(_BITS, "24", "c_uint8"), fields="4:7", truth="(2, 24, 1)"),
    _unmistaken(
        "bool-bits",
        rules.UNKNOWN_DTYPE,
        _poke(_CODE, "6", "c_uint8"),
        _poke(_BITS, "1", "c_uint8"),
        fields="4:7",
        truth="(6, 1, 1)",
    ),
    _unmistaken(
        "packed",
        rules.PADDED,
        _poke(_CODE, "0", "c_uint8"),
        _poke(_BITS, "4", "c_uint8"),
        fields="4:7",
        truth="(0, 4, 1)",
        array='np.array([0x21, 0x43, 0x65, 0x87], "uint8")',
    ),
    _unmistaken(
        "device-unknown",
        rules.UNSUPPORTED_DEVICE,
        _poke(_DEVICE, "99", "c_int32"),
        fields="1:3",
        truth="(99, 0)",
        device="(99, 0)",
    ),
    _check(
        "device-cuda",
        rules.UNSUPPORTED_DEVICE,
        f"""
assert not os.path.exists("/dev/nvidiactl"), "there may be a CUDA device here"
a = {_ROW}
{_CUDA}
""",
        """
try: y = from_dlpack(Producer())
except Exception: sys.exit()  # refused, as it may be
assert "cuda" in str(getattr(y, "device", "")), "memory of a CUDA device is taken for the host's"
""",
        risky=True,
    ),
    _check(
        "device-error",
        rules.UNSUPPORTED_DEVICE,
        f"a = {_ROW}\n{_NOWHERE}",
        """
try: from_dlpack(Producer())
except BufferError: pass
""",
        risky=True,
        must=False,
    ),
)


def _dtype(name: str, code: int, bits: int, *, native: bool) -> Check:
    """Check that elements of a type are read with their bytes as they are, or refused."""
    carrier = f'"{name}"' if native else f'"uint{bits}"'
    if native:
        return _check(
            f"dtype-{name}",
            rules.DTYPE,
            f"a = np.array([1, 0, 1, 1]).astype({carrier})\n{_producer()}",
            f"""
y = to_numpy(from_dlpack(Producer()))
assert (y.dtype, y.tobytes()) == (a.dtype, a.tobytes()), f"{name} becomes {{y.dtype}}, {{y!s:.60}}"
""",
            applies="from_dlpack(Producer())",
        )
    patched = _patched(_poke(_CODE, f"{code}  # {name}", "c_uint8"))
    return _check(
        f"dtype-{name}",
        rules.DTYPE,
        f"a = np.array([1, 0, 1, 1]).astype({carrier})\n{patched}\ny = from_dlpack(Producer())",
        f"""
z = y.__dlpack__(); dtype = read(z)[4:7]
assert dtype == ({code}, {bits}, 1), f"{name} becomes {{dtype}}"
assert ctypes.string_at(read(z)[0] + read(z)[9], a.nbytes) == a.tobytes(), "other bytes"
""",
        applies="y.__dlpack__()",
    )


_NATIVE: Final = {row.name for row in ROWS if row.numpy is not None and row.numpy.isbuiltin == 1}

DTYPES: Final = tuple(
    _dtype(row.name, row.code, row.bits, native=row.name in _NATIVE)
    for row in ROWS
    if row.numpy is not None and row.bits >= 8
)
