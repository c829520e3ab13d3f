"""What is asked of the tensor in a producer's capsule, and of the other protocols that tell of the same memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from interop._dtypes import ROWS
from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Check, Role, check

if TYPE_CHECKING:
    from interop.testing.conformance._rules import Rule

_check: Final = partial(check, Role.PRODUCER)

_FLAT: Final = 'x = make(np.arange(6, dtype="float32"))'

DEVICES: Final = (
    _check(
        "device-types",
        rules.DEVICE_QUERY,
        _FLAT,
        """
device = x.__dlpack_device__()
assert type(device) is tuple and len(device) == 2 and all(isinstance(n, int) for n in device), repr(device)
""",
    ),
    _check(
        "device",
        rules.DEVICE,
        _FLAT,
        """
device, told = read(export(x))[1:3], tuple(x.__dlpack_device__())
assert device == told, f"the capsule says {device}, __dlpack_device__ says {told}"
""",
        applies="""
export(x); told = tuple(x.__dlpack_device__())
assert all(isinstance(n, int) for n in told), f"{told} are no numbers"
""",
    ),
    _check(
        "device-index",
        rules.HOST_INDEX,
        _FLAT,
        """
kind, index = read(export(x))[1:3]
assert index == 0, f"host memory with the device {kind, index}"
""",
        applies='assert read(export(x))[1] in (1, 3, 11, 13), "it is not on the host"',
    ),
)


def _layout(name: str, rule: Rule, view: str, shape: str = "(6,)", *, base: str = "", must: bool = True) -> Check:
    """Check that what the capsule describes are the elements of a view of the array, by numpy's reading of it.

    Of a type that can't be sliced, the view is made of one of numpy's: where that is dense, nothing was tested.
    """
    values = f"a = {base}" if base else f'a = np.arange(6, dtype="float32").reshape{shape}'
    dense = f"not tested: it can't be sliced, and of numpy's {view} it makes an array in C order"
    return _check(
        name,
        rule,
        f"{values}\nx = make(a){view}",
        f"""
seen, expected = np.from_dlpack(x).tolist(), a{view}.tolist()
assert seen == expected, f"{{expected}} is exported as {{seen}}"
""",
        applies=f"""
y = np.from_dlpack(x)
assert SLICED or not y.flags.c_contiguous, "{dense}"
"""
        if view
        else "np.from_dlpack(x)",
        must=must,
    )


def _exports(name: str, rule: Rule, array: str, view: str = "") -> Check:
    """Check that a view of an array that there is goes out, whatever it is like: that it is refused is a violation."""
    return _check(
        name,
        rule,
        f"a = {array}\nx = make(a){view}",
        f"""
seen, expected = np.from_dlpack(x).tolist(), a{view}.tolist()
assert seen == expected, f"{{expected}} is exported as {{seen}}"
""",
        applies=f"""
np.from_dlpack(make(np.arange(6, dtype="float32")))
shape, expected = tuple(getattr(x, "shape", a{view}.shape)), a{view}.shape
assert shape == expected, f"of shape {{expected}} it makes {{shape}}"
""",
    )


LAYOUTS: Final = (
    _layout("values", rules.SHAPE, "", "(2, 3)"),
    _layout("stepped", rules.STRIDES, "[::2]"),
    _layout("sliced-rows", rules.STRIDES, "[:, 1:]", "(2, 3)"),
    _layout("transposed", rules.STRIDES, ".T", "(2, 3)"),
    _layout("negative-strides", rules.STRIDES, "[::-1]"),
    _layout(
        "zero-strides",
        rules.STRIDES,
        "",
        base="np.broadcast_to(np.float32(7), (3,))",
    ),
    _layout("offset", rules.BYTE_OFFSET, "[2:]"),
    _exports("one-side-strides", rules.ONE_SIDE, 'np.arange(6, dtype="float32")', "[::6]"),
    # A stride of 5 bytes, which is no multiple of an element's 4.
    _exports("one-side-field", rules.ONE_SIDE, 'np.array([(7, 0)], "f4, i1")["f0"]'),
    _exports("nine-dimensions", rules.NDIM, 'np.arange(6, dtype="float32").reshape((1,) * 7 + (2, 3))'),
    _check(
        "tricky-values",
        rules.TRUE_VALUES,
        """
tricky = TRICKY
assert tricky, "not tested: no tricky= was given: what isn't what its memory says"
""",
        """
for x, expected in tricky:
    try: seen = np.from_dlpack(x).tolist()
    except BufferError: continue
    assert seen == expected, f"{expected} is exported as {seen}"
""",
    ),
    _check(
        "shape",
        rules.SHAPE,
        'x = make(np.ones((1, 2, 3), "float32"))\ncapsule = export(x)',
        """
shape = sides(capsule)
assert shape == [1, 2, 3], f"shape (1, 2, 3) is exported as {shape}"
""",
    ),
    _check(
        "strides-given",
        rules.STRIDES_GIVEN,
        f"""
{_FLAT}
capsule = export(x)
assert versioned(capsule) and version_of(capsule) >= (1, 2), "its capsules are older than 1.2"
""",
        'assert read(capsule)[8], "strides are NULL"',
    ),
    _check(
        "scalar",
        rules.SCALAR,
        'x = make(np.full((), 5, "float32"))',
        """
y = np.from_dlpack(x)
assert y.shape == () and y == 5, f"an array 5 without dimensions is exported as {y!r:.60}"
""",
        applies="""
assert tuple(getattr(x, "shape", ())) == (), f"of an array without dimensions it makes one of shape {x.shape}"
assert np.from_dlpack(make(np.arange(6, dtype="float32"))).tolist() == [0, 1, 2, 3, 4, 5]
""",
    ),
    _check(
        "empty",
        rules.EMPTY,
        'x = make(np.ones((0, 3), "float32"))',
        """
capsule = export(x)
shape = sides(capsule)
assert shape == [0, 3], f"shape (0, 3) is exported as {shape}"
""",
        applies='assert tuple(getattr(x, "shape", (0, 3))) == (0, 3), f"of shape (0, 3) it makes {x.shape}"',
    ),
)


def _dtype(name: str, triple: tuple[int, int, int], *, native: bool) -> Check:
    code, bits, lanes = triple
    dtype = f'"{name}"' if native else f"ml_dtypes.{name}"
    make = "make" if native else "small"
    # pyarrow has type for dtype, and names of its own for floats; of its tensors only bool becomes another.
    own = "type" if name == "bool" else "dtype"
    return _check(
        f"dtype-{name}",
        rules.DTYPE,
        f"""
a = np.array([1, 0, 1, 1]).astype({dtype})
x = {make}(a); capsule = export(x)
""",
        f"""
dtype = read(capsule)[4:7]
assert dtype == ({code}, {bits}, {lanes}), f"{name} is exported as {{dtype}}"
assert ctypes.string_at(read(capsule)[0] + read(capsule)[9], a.nbytes) == a.tobytes(), "other bytes"
""",
        applies=f'assert "{name}" in str(getattr(x, "{own}", "{name}")), f"of {name} it makes {{x.{own}}}"',
    )


def _subbyte(name: str, triple: tuple[int, int, int]) -> Check:
    """Check that elements below a byte lie in memory as the flag says."""
    code, bits, _ = triple
    return _check(
        f"dtype-{name}",
        rules.PADDED,
        f"""
a = np.array([1, 0, 1, 1]).astype(ml_dtypes.{name})
x = small(a); capsule = export(x)
""",
        f"""
dtype = read(capsule)[4:7]
assert dtype[:2] == ({code}, {bits}), f"{name} is exported as {{dtype}}"
padded = ctypes.string_at(read(capsule)[0] + read(capsule)[9], 4) == a.tobytes()
flag = bool(versioned(capsule) and flags_of(capsule) & 4)
assert padded == flag, f"one element a byte: {{padded}}, and the flag says {{flag}}"
""",
        applies=f"""
assert "{name}" in str(getattr(x, "dtype", "{name}")), f"of {name} it makes {{x.dtype}}"
assert read(capsule)[1] in (1, 3, 11, 13), "its memory can't be looked at"
""",
    )


_NATIVE: Final = {row.name for row in ROWS if row.numpy is not None and row.numpy.isbuiltin == 1}

DTYPES: Final = (
    *(
        _dtype(row.name, (row.code, row.bits, row.lanes), native=row.name in _NATIVE)
        for row in ROWS
        if row.numpy is not None and row.bits >= 8
    ),
    *(_subbyte(row.name, (row.code, row.bits, row.lanes)) for row in ROWS if row.numpy is not None and row.bits < 8),
    _check(
        "dtype-refusal",
        rules.REFUSAL,
        """
names = "bool", "uint8", "uint16", "int64", "float16", "float64", "complex64", "longdouble", "M8[s]", "S3", "O"
def made(name):
    try: return make(np.zeros(4, name))
    except Exception: return None  # the library hasn't got it
xs = [x for x in map(made, names) if hasattr(x, "__dlpack__")]
assert xs
""",
        """
for x in xs:
    try: export(x)
    except BufferError: pass
""",
        risky=True,
    ),
    _check(
        "byte-order",
        rules.BYTE_ORDER,
        'x = make(np.arange(6, dtype=np.dtype("float32").newbyteorder()))',
        """
try: seen = np.from_dlpack(x).tolist()
except BufferError: seen = None
assert seen in (None, [0, 1, 2, 3, 4, 5]), f"exported as {seen}"
""",
        applies='assert not x.dtype.isnative, "its arrays are in native byte order"',
    ),
)

OTHERS: Final = (
    _check(
        "array-interface",
        rules.ARRAY_INTERFACE,
        f"{_FLAT}\ninterface, capsule = x.__array_interface__, export(x)",
        """
told, data = interface["data"][0], read(capsule)[0] + read(capsule)[9]
assert told == data, f"it isn't where DLPack says, but {told - data} bytes from there"
assert (interface["shape"], interface["typestr"][1:]) == ((6,), "f4"), interface
assert interface.get("strides") in (None, (4,)), f"strides {interface['strides']}"
""",
    ),
    _check(
        "buffer",
        rules.BUFFER,
        f"{_FLAT}\nbuffer, capsule = memoryview(x), export(x)",
        """
told, data = np.asarray(buffer).ctypes.data, read(capsule)[0] + read(capsule)[9]
assert told == data, f"it isn't where DLPack says, but {told - data} bytes from there"
assert (buffer.shape, buffer.itemsize) == ((6,), 4), f"shape {buffer.shape}, elements of {buffer.itemsize} bytes"
""",
    ),
    _check(
        "buffer-readonly",
        rules.BUFFER_READONLY,
        f"""
{_FLAT}
assert memoryview(x).readonly, "its buffer is writable"
capsule = export(x)
assert versioned(capsule), "it exports legacy capsules only, which have no flags"
""",
        'assert flags_of(capsule) & 1, "a readonly buffer, and no READ_ONLY flag"',
    ),
    _check(
        "buffer-readonly-legacy",
        rules.READ_ONLY_LEGACY,
        f'{_FLAT}\nassert memoryview(x).readonly, "its buffer is writable"',
        """
try: capsule = x.__dlpack__()
except BufferError: capsule = None
assert capsule is None or "versioned" in repr(capsule), "a readonly buffer goes out in a legacy capsule"
""",
        must=False,
    ),
    _check(
        "cuda-array-interface",
        rules.CUDA_ARRAY_INTERFACE,
        f"{_FLAT}\ninterface, capsule = x.__cuda_array_interface__, export(x)",
        """
told, data = interface["data"][0], read(capsule)[0] + read(capsule)[9]
assert told == data, f"it isn't where DLPack says, but {told - data} bytes from there"
assert interface["shape"] == (6,), interface
assert interface.get("stream") != 0, "stream 0"
""",
    ),
)
