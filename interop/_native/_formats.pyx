"""Element types as the buffer protocol and the array interfaces spell them; the small floats have no spelling."""

from interop._native.dlpack cimport DLDataType, kDLBool, kDLComplex, kDLFloat, kDLInt, kDLUInt

import sys

# Formats of the buffer protocol (PEP 3118) by code and bits.
cdef dict _FORMATS = {
    (kDLBool, 8): b"?",
    (kDLInt, 8): b"b",
    (kDLInt, 16): b"h",
    (kDLInt, 32): b"i",
    (kDLInt, 64): b"l" if sizeof(long) == 8 else b"q",
    (kDLUInt, 8): b"B",
    (kDLUInt, 16): b"H",
    (kDLUInt, 32): b"I",
    (kDLUInt, 64): b"L" if sizeof(long) == 8 else b"Q",
    (kDLFloat, 16): b"e",
    (kDLFloat, 32): b"f",
    (kDLFloat, 64): b"d",
    (kDLComplex, 64): b"Zf",
    (kDLComplex, 128): b"Zd",
}

# Kinds of the array interfaces' type strings, which express the same elements.
cdef dict _KINDS = {kDLBool: "b", kDLInt: "i", kDLUInt: "u", kDLFloat: "f", kDLComplex: "c"}
cdef str _ORDER = "<" if sys.byteorder == "little" else ">"


cdef bytes format_of(DLDataType dtype):
    """The format of the buffer protocol, or None."""
    return _FORMATS.get((dtype.code, dtype.bits)) if dtype.lanes == 1 else None


cdef str typestr_of(DLDataType dtype):
    """The type string of the array interfaces, or None."""
    kind = _KINDS.get(dtype.code)
    if kind is None or format_of(dtype) is None:
        return None
    return f"{'|' if dtype.bits == 8 else _ORDER}{kind}{dtype.bits // 8}"
