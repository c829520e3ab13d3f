"""What is asked of a consumer that is given a tensor: it is read right, or refused where it must or may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interop._dtypes import ROWS
from interop.testing.conformance import _rules as rules
from interop.testing.conformance._exports import (
    BITS,
    CODE,
    DATA,
    DEVICE,
    LANES,
    OFFSET,
    ROW,
    SHAPE,
    STRIDES,
    of_consumer,
    patched,
    poke,
    producer,
    takes,
    unmistaken,
)

if TYPE_CHECKING:
    from interop.testing.conformance._check import Check

# The capsule is nobody else's: one that refuses it may have freed what its destructor frees again.
_CUDA: Final = f"""
class Producer:
    def __dlpack_device__(self): return (2, 0)
    def __dlpack__(self, **_):
        capsule = EXPORTED
        {poke(DEVICE, "2  # kDLCUDA", "c_int32")}
        return capsule""".strip()
_NOWHERE: Final = patched(poke(DEVICE, "99", "c_int32"), device="(99, 0)")

TENSORS: Final = (
    takes(
        "byte-offset",
        rules.BYTE_OFFSET,
        'np.arange(16, dtype="float32")[:8]',
        poke(OFFSET, "32", "c_uint64"),
        expected="[8, 9, 10, 11, 12, 13, 14, 15]",
    ),
    takes(
        "strides-null",
        rules.STRIDES_NULL,
        ROW,
        poke(STRIDES, "0  # NULL"),
    ),
    takes("transposed", rules.STRIDES, 'np.arange(6, dtype="float32").reshape(2, 3).T', refuses=True),
    takes("stepped", rules.STRIDES, 'np.arange(6, dtype="float32")[::2]', refuses=True),
    takes("sliced-rows", rules.STRIDES, 'np.arange(6, dtype="float32").reshape(2, 3)[:, 1:]', refuses=True),
    takes("negative-strides", rules.STRIDES, 'np.arange(6, dtype="float32")[::-1]', refuses=True, risky=True),
    takes(
        "zero-strides",
        rules.STRIDES,
        'np.lib.stride_tricks.as_strided(np.ones(1, "float32"), (2, 3), (0, 0))',
        refuses=True,
        risky=True,
    ),
    takes(
        "one-side-strides",
        rules.ONE_SIDE,
        'np.lib.stride_tricks.as_strided(np.ones(1, "float32"), (1,), (400,))',
    ),
    takes(
        "one-column-strides",
        rules.ONE_SIDE,
        'np.lib.stride_tricks.as_strided(np.arange(2, dtype="float32"), (2, 1), (4, 400))',
        ndim=2,
    ),
    takes("nine-dimensions", rules.NDIM, 'np.arange(6, dtype="float32").reshape((1,) * 7 + (2, 3))', ndim=9),
    takes("scalar", rules.SCALAR, 'np.array(5, "float32")', ndim=0),
    takes(
        "scalar-null",
        rules.SCALAR,
        'np.array(5, "float32")',
        poke(SHAPE, "0  # NULL"),
        poke(STRIDES, "0"),
        risky=True,
        ndim=0,
    ),
    takes("empty", rules.EMPTY, 'np.ones(0, "float32")'),
    takes("empty-null", rules.EMPTY, 'np.ones(0, "float32")', poke(DATA, "0  # NULL"), risky=True),
    unmistaken("lanes", rules.LANES, poke(LANES, "2", "c_uint16"), fields="4:7", truth="(2, 32, 2)"),
    unmistaken("dtype-unknown", rules.UNKNOWN_DTYPE, poke(CODE, "99", "c_uint8"), fields="4:7", truth="(99, 32, 1)"),
    unmistaken(
        "dtype-handle",
        rules.UNKNOWN_DTYPE,
        poke(CODE, "3  # kDLOpaqueHandle", "c_uint8"),
        fields="4:7",
        truth="(3, 32, 1)",
    ),
    unmistaken("dtype-bits", rules.UNKNOWN_DTYPE, poke(BITS, "24", "c_uint8"), fields="4:7", truth="(2, 24, 1)"),
    unmistaken(
        "bool-bits",
        rules.UNKNOWN_DTYPE,
        poke(CODE, "6", "c_uint8"),
        poke(BITS, "1", "c_uint8"),
        fields="4:7",
        truth="(6, 1, 1)",
    ),
    unmistaken(
        "packed",
        rules.PADDED,
        poke(CODE, "0", "c_uint8"),
        poke(BITS, "4", "c_uint8"),
        fields="4:7",
        truth="(0, 4, 1)",
        array='np.array([0x21, 0x43, 0x65, 0x87], "uint8")',
    ),
    unmistaken(
        "device-unknown",
        rules.UNSUPPORTED_DEVICE,
        poke(DEVICE, "99", "c_int32"),
        fields="1:3",
        truth="(99, 0)",
        device="(99, 0)",
    ),
    of_consumer(
        "device-cuda",
        rules.UNSUPPORTED_DEVICE,
        f"""
assert not os.path.exists("/dev/nvidiactl"), "there may be a CUDA device here"
a = {ROW}
{_CUDA}
""",
        """
try: y = from_dlpack(Producer())
except Exception: sys.exit()  # refused, as it may be
assert "cuda" in str(getattr(y, "device", "")), "memory of a CUDA device is taken for the host's"
""",
        risky=True,
    ),
    of_consumer(
        "device-error",
        rules.UNSUPPORTED_DEVICE,
        f"a = {ROW}\n{_NOWHERE}",
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
        return of_consumer(
            f"dtype-{name}",
            rules.DTYPE,
            f"a = np.array([1, 0, 1, 1]).astype({carrier})\n{producer()}",
            f"""
y = to_numpy(from_dlpack(Producer()))
assert (y.dtype, y.tobytes()) == (a.dtype, a.tobytes()), f"{name} becomes {{y.dtype}}, {{y!s:.60}}"
""",
            applies="from_dlpack(Producer())",
        )
    made = patched(poke(CODE, f"{code}  # {name}", "c_uint8"))
    return of_consumer(
        f"dtype-{name}",
        rules.DTYPE,
        f"a = np.array([1, 0, 1, 1]).astype({carrier})\n{made}\ny = from_dlpack(Producer())",
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
