"""The exports that a consumer is given: numpy's, some with one field changed in place, as the text of scripts.

Of these there is one, in a capsule of the kind that the consumer asks for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from interop.testing.conformance._check import Check, Role, check

if TYPE_CHECKING:
    from interop.testing.conformance._rules import Rule

of_consumer: Final = partial(check, Role.CONSUMER)


def producer(device: str = "(1, 0)") -> str:
    """Return the text of a class whose objects export the array `a`."""
    export = "lambda self, **keywords: a.__dlpack__(**keywords)"
    return f"class Producer: __dlpack_device__ = lambda self: {device}; __dlpack__ = {export}"


def patched(*patches: str, device: str = "(1, 0)") -> str:
    """Return the text of a class whose objects export the array `a` once, after these changes to the capsule."""
    export = f"class Producer: __dlpack_device__ = lambda self: {device}; __dlpack__ = lambda self, **_: capsule"
    return "\n".join(["capsule = EXPORTED", *patches, export])


ROW: Final = 'np.arange(6, dtype="float32")'
# At the alignment that libraries ask for at most, so that chance doesn't decide between view and copy.
ALIGNED: Final = 'a = np.empty(22, "float32"); a = a[-a.ctypes.data % 64 // 4 :][:6]; a[:] = range(6)'
PLAIN: Final = f"{ALIGNED}\n{producer()}"


def counted(*patches: str) -> str:
    """Return the text of a producer whose capsule's deleter notes that it was called, and frees nothing."""
    counting = "deleted = []; deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(deleted.append)"
    slot = "ctypes.c_void_p.from_address(DELETER).value = ctypes.cast(deleter, ctypes.c_void_p).value"
    return "\n".join([counting, ALIGNED, patched(slot, *patches)])


def poke(offset: int, value: str, kind: str = "c_int64", at: str = "TENSOR") -> str:
    """Return the text that changes a field of the capsule: the one so many bytes into a structure."""
    return f"ctypes.{kind}.from_address({at}{f' + {offset}' * (offset > 0)}).value = {value}"


# Where the fields are in a DLTensor.
DATA, DEVICE, CODE, BITS, LANES, SHAPE, STRIDES, OFFSET = 0, 8, 20, 21, 22, 24, 32, 40


def takes(
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
    return of_consumer(
        name,
        rule,
        f"a = {array}\n{patched(*patches) if patches else producer()}",
        f"""
{attempt}
assert seen == {expected}, f"{{{expected}}} is read as {{seen}}"
""",
        risky=risky,
        versioned=versioned,
        ndim=ndim,
    )


def unmistaken(
    name: str, rule: Rule, *patches: str, fields: str, truth: str, array: str = ROW, device: str = "(1, 0)"
) -> Check:
    """Check that an export is refused, or taken as what it is, as a library without types of its own may do."""
    return of_consumer(
        name,
        rule,
        f"a = {array}\n{patched(*patches, device=device)}",
        f"""
try: y = from_dlpack(Producer()).__dlpack__()
except Exception: sys.exit()  # refused, as it may be
seen = read(y)[{fields}]
assert seen == {truth}, f"{truth} is taken, as {{seen}}"
""",
        risky=True,
    )
