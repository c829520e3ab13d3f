"""What is asked of a consumer's calls, of what it does with capsules, and of versions and flags."""

from __future__ import annotations

from typing import Final

from interop.testing.conformance import _rules as rules
from interop.testing.conformance._exports import (
    ALIGNED,
    CODE,
    PLAIN,
    ROW,
    counted,
    of_consumer,
    patched,
    poke,
    takes,
)


def _asked(keyword: str) -> str:
    """Return the text of an exchange that notes what the consumer passes as a keyword, and does without streams."""
    return f"""\
asked, a = [], {ROW}
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **keywords):
        asked.append(keywords.get("{keyword}")); return a.__dlpack__(**keywords | {{"stream": None}})
from_dlpack(Producer())"""


CALLS: Final = (
    takes("takes", rules.TAKES, ROW),
    of_consumer(
        "asks-version",
        rules.ASKS_VERSION,
        _asked("max_version"),
        'assert asked[-1] is not None and tuple(asked[-1]) >= (1, 0), f"max_version is {asked[-1]}"',
        applies='assert asked, "it asks for no capsule"',
        must=False,
    ),
    of_consumer(
        "stream-host",
        rules.CONSUMER_STREAM,
        _asked("stream"),
        'assert set(asked) == {None}, f"stream={asked[0]}"',
        applies='assert asked, "it asks for no capsule"',
    ),
    of_consumer(
        "old-producer",
        rules.OLD_PRODUCER,
        f"""
{ALIGNED}
# As of 2021.
class Producer: __dlpack_device__ = lambda self: (1, 0); __dlpack__ = lambda self, stream=None: a.__dlpack__()
""",
        """
seen = to_numpy(from_dlpack(Producer())).tolist()
assert seen == [0, 1, 2, 3, 4, 5], f"read as {seen}"
""",
        must=False,
    ),
    of_consumer(
        "legacy-answer",
        rules.VERIFY,
        f"""
{ALIGNED}
# A legacy capsule, whatever is asked for.
class Producer: __dlpack_device__ = lambda self: (1, 0); __dlpack__ = lambda self, **_: a.__dlpack__()
""",
        """
seen = to_numpy(from_dlpack(Producer())).tolist()
assert seen == [0, 1, 2, 3, 4, 5], f"read as {seen}"
""",
    ),
    of_consumer(
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
    of_consumer(
        "no-protocol",
        rules.NO_PROTOCOL,
        "",
        """
try: from_dlpack(object())
except AttributeError: pass
else: raise AssertionError("an object without __dlpack__ is taken")
""",
    ),
    of_consumer(
        "copy-true",
        rules.CONSUMER_COPY,
        f"{PLAIN}\ny = from_dlpack(Producer(), copy=True)",
        """
a[0] = 9
assert to_numpy(y)[0] == 0, "copy=True gives the memory itself"
""",
    ),
    of_consumer(
        "copy-false",
        rules.CONSUMER_COPY,
        f"{PLAIN}\ny = from_dlpack(Producer(), copy=False)",
        """
a[0] = 9
assert to_numpy(y)[0] == 9, "copy=False gives a copy"
""",
    ),
    of_consumer(
        "copy-keyword",
        rules.CONSUMER_COPY,
        PLAIN,
        """
try: from_dlpack(Producer(), copy=None, device=None)
except TypeError as error: raise AssertionError(f"no keywords copy and device: {error!s:.60}")
""",
        must=False,
    ),
    of_consumer(
        "device-unknown-name",
        rules.CONSUMER_DEVICE,
        f"{PLAIN}\nfrom_dlpack(Producer(), device=None)",
        """
try: from_dlpack(Producer(), device="no such device")
except Exception: pass
else: raise AssertionError("device='no such device' is ignored")
""",
    ),
    of_consumer(
        "device-passed-on",
        rules.PASSES_DEVICE,
        f"""
{PLAIN}
device = from_dlpack(Producer()).device
class Elsewhere:  # on a device that nobody knows, kDLExtDev, and exported to the host if asked
    def __dlpack_device__(self): return (12, 0)
    def __dlpack__(self, dl_device=None, max_version=None, **_):
        if dl_device is None: raise BufferError("dl_device is None")
        return a.__dlpack__(max_version=max_version)
""",
        """
seen = to_numpy(from_dlpack(Elsewhere(), device=device)).tolist()
assert seen == [0, 1, 2, 3, 4, 5], f"read as {seen}"
""",
        applies="from_dlpack(Producer(), device=device)",
        must=False,
    ),
    of_consumer(
        "zero-copy",
        rules.ZERO_COPY,
        f"{PLAIN}\ny = from_dlpack(Producer())",
        """
a[0] = 9
assert to_numpy(y)[0] == 9, "host memory in C order, aligned to 64 bytes, is copied"
""",
        must=False,
    ),
)

CAPSULES: Final = (
    of_consumer(
        "renames-capsule",
        rules.RENAMES,
        f"""
{ALIGNED}
{patched()}
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
    of_consumer(
        "used-capsule",
        rules.CONSUMED_ONCE,
        f"""
{ALIGNED}
{patched()}
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
    of_consumer(
        "other-capsule",
        rules.CAPSULE,
        f'{ALIGNED}\nother = ctypes.c_char_p(b"tensor")\n{patched("rename(capsule, other)")}',
        """
try: from_dlpack(Producer())
except Exception: pass
else: raise AssertionError("a capsule named tensor is taken")
""",
        risky=True,
    ),
    of_consumer(
        "deleter-once",
        rules.DELETER,
        f"{counted()}\ny = from_dlpack(Producer())",
        """
del y; gc.collect()
assert len(deleted) == 1, f"the result is gone, and the deleter was called {len(deleted)} times"
""",
        risky=True,
    ),
    of_consumer(
        "deleter-not-early",
        rules.LIFETIME,
        f"{counted()}\ny = from_dlpack(Producer()); gc.collect()",
        """
a[0] = 9
assert not deleted or to_numpy(y)[0] == 0, "the deleter was called while the result is on the memory"
""",
        risky=True,
    ),
    of_consumer(
        "deleter-null",
        rules.NULL_DELETER,
        f"{ALIGNED}\n{patched('ctypes.c_void_p.from_address(DELETER).value = None')}",
        """
y = from_dlpack(Producer())
assert to_numpy(y).tolist() == [0, 1, 2, 3, 4, 5], "other values"
del y; gc.collect()
""",
        risky=True,
    ),
    of_consumer(
        "deleter-refused",
        rules.DELETER,
        f"""
{counted(poke(CODE, "99  # no element type", "c_uint8"))}
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
    of_consumer(
        "lifetime",
        rules.LIFETIME,
        f"{PLAIN}\ny = from_dlpack(Producer())",
        """
del a, Producer; gc.collect(); others = [np.full(22, 9, "float32") for _ in range(100)]
assert to_numpy(y).tolist() == [0, 1, 2, 3, 4, 5], f"the source is gone, and the result is {to_numpy(y).tolist()}"
""",
        risky=True,
    ),
    of_consumer(
        "leaks",
        rules.DELETER,
        PLAIN,
        """
before = sys.getrefcount(a)
for _ in range(1000): from_dlpack(Producer())
gc.collect()
assert sys.getrefcount(a) - before < 100, f"{sys.getrefcount(a) - before} of 1000 results still hold the source"
""",
        applies="from_dlpack(Producer()); gc.collect()",
    ),
    of_consumer(
        "threads",
        rules.DELETER,
        PLAIN,
        """
work = lambda _: tuple(to_numpy(from_dlpack(Producer())).tolist())
with concurrent.futures.ThreadPoolExecutor(8) as pool: seen = set(pool.map(work, range(500)))
assert seen == {(0, 1, 2, 3, 4, 5)}, f"by eight threads at once: {seen}"
""",
        applies="to_numpy(from_dlpack(Producer()))",
        risky=True,
    ),
    of_consumer(
        "dropped-in-thread",
        rules.DELETER,
        f"{counted()}\nkept = [from_dlpack(Producer())]",
        """
thread = threading.Thread(target=kept.clear); thread.start(); thread.join(); gc.collect()
assert len(deleted) == 1, f"dropped in another thread: the deleter was called {len(deleted)} times"
""",
        risky=True,
    ),
)


def _head(offset: int, value: str, kind: str) -> str:
    return poke(offset, value, kind, "HEAD")


VERSIONS: Final = (
    of_consumer(
        "major-version",
        rules.MAJOR,
        counted(_head(0, "2  # version 2.0", "c_uint32")),
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
    takes(
        "minor-version",
        rules.MINOR,
        ROW,
        _head(4, "99  # version 1.99", "c_uint32"),
        versioned=True,
    ),
    takes(
        "copied-flag",
        rules.IS_COPIED,
        ROW,
        _head(24, "2  # IS_COPIED", "c_uint64"),
        versioned=True,
    ),
    takes(
        "readonly-taken",
        rules.READ_ONLY,
        ROW,
        _head(24, "1  # READ_ONLY", "c_uint64"),
        versioned=True,
    ),
    of_consumer(
        "readonly-honoured",
        rules.HONOURS_READ_ONLY,
        "\n".join([ALIGNED, patched(_head(24, "1  # READ_ONLY", "c_uint64")), "y = from_dlpack(Producer())"]),
        """
try: y[0] = 9
except Exception: pass  # not writable
assert a[0] == 0, "what is flagged READ_ONLY was written to"
""",
        must=False,
        versioned=True,
    ),
)
