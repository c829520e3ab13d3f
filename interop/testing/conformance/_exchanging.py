"""What is asked of a type's C exchange API."""

from __future__ import annotations

from functools import partial
from typing import Final

from interop.testing.conformance import _rules as rules
from interop.testing.conformance._check import Role, check

_check: Final = partial(check, Role.PRODUCER)

_FLAT: Final = 'x = make(np.arange(6, dtype="float32"))'
_API: Final = f"""
{_FLAT}
tp = type(x)
assert hasattr(tp, "__dlpack_c_exchange_api__"), "the type has no C exchange API"
"""
_SOUND: Final = f"{_API.strip()}\nassert api_of(tp)"
_CALL: Final = "call = lambda function, *takes: ctypes.PYFUNCTYPE(ctypes.c_int, *takes)(function)"

EXCHANGE: Final = (
    _check(
        "api-capsule",
        rules.EXCHANGE,
        _API,
        """
api = tp.__dlpack_c_exchange_api__
assert repr(api).startswith('<capsule object "dlpack_exchange_api"'), f"a {type(api).__name__}"
""",
    ),
    _check(
        "api-spelling",
        rules.EXCHANGE_SPELLING,
        f'{_FLAT}\ntp = type(x)\nassert hasattr(tp, "__c_dlpack_exchange_api__"), "it has no older spelling"',
        'assert hasattr(tp, "__dlpack_c_exchange_api__"), "the C exchange API has its older name only"',
        must=False,
    ),
    _check(
        "api-versions",
        rules.EXCHANGE_HEADER,
        _SOUND,
        """
at, versions = api_of(tp), []
while at and len(versions) < 9: *version, at = struct.unpack("IIP", ctypes.string_at(at, 16)); versions.append(version)
assert not at and versions == sorted(versions, reverse=True), f"along prev_api: {versions}"
assert any(major == 1 for major, _ in versions), f"no version 1 in {versions}"
""",
        risky=True,
    ),
    _check(
        "api-functions",
        rules.EXCHANGE_REQUIRED,
        _SOUND,
        """
given = functions(tp)
assert all((given[0], given[1], given[2], given[4])), f"allocate, export, receive, lend, stream: {given}"
""",
        risky=True,
    ),
    _check(
        "api-export",
        rules.EXCHANGE_EXPORT,
        f"{_SOUND}\nassert functions(tp)[1], 'it has no function'\ncapsule = export(x)",
        f"""
{_CALL}
out = ctypes.c_void_p(); call(functions(tp)[1], ctypes.py_object, ctypes.c_void_p)(x, ctypes.addressof(out))
fields = struct.unpack("PiiiBBHPPQ", ctypes.string_at(out.value + 32, 48))
assert fields[:7] == read(capsule)[:7], f"{{fields[1:7]}}, and by __dlpack__ {{read(capsule)[1:7]}}"
""",
        risky=True,
    ),
    _check(
        "api-lend",
        rules.EXCHANGE_LEND,
        f"{_SOUND}\nassert functions(tp)[3], 'it lends nothing'\ncapsule = export(x)",
        f"""
{_CALL}
room, before = ctypes.create_string_buffer(48), sys.getrefcount(x)
for _ in range(100): call(functions(tp)[3], ctypes.py_object, ctypes.c_void_p)(x, ctypes.addressof(room))
fields = struct.unpack("PiiiBBHPPQ", room.raw)
assert fields[:7] == read(capsule)[:7], f"{{fields[1:7]}}, and by __dlpack__ {{read(capsule)[1:7]}}"
assert sys.getrefcount(x) - before < 50, "lending keeps references"
""",
        risky=True,
    ),
    _check(
        "api-receive",
        rules.EXCHANGE_RECEIVE,
        f"{_SOUND}\nassert functions(tp)[1] and functions(tp)[2], 'it has no functions'",
        f"""
{_CALL}
out, made = ctypes.c_void_p(), ctypes.c_void_p()
call(functions(tp)[1], ctypes.py_object, ctypes.c_void_p)(x, ctypes.addressof(out))
call(functions(tp)[2], ctypes.c_void_p, ctypes.c_void_p)(out.value, ctypes.addressof(made))
y = ctypes.cast(made, ctypes.py_object).value
assert type(y) is tp, f"a {{type(y).__name__}}"
assert read(export(y))[0] == read(export(x))[0], "on other memory"
""",
        risky=True,
    ),
    _check(
        "api-allocate",
        rules.EXCHANGE_ALLOCATE,
        f"{_SOUND}\nassert functions(tp)[0], 'it has no allocator'\ncapsule = export(x)",
        f"""
{_CALL}
out, sides = ctypes.c_void_p(), (ctypes.c_int64 * 2)(2, 3)
like = struct.pack("PiiiBBHPPQ", 0, 1, 0, 2, 2, 32, 1, ctypes.addressof(sides), 0, 0)
allocate = call(functions(tp)[0], ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
assert allocate(like, ctypes.addressof(out), None, None) == 0, "no memory on the host"
fields = struct.unpack("PiiiBBHPPQ", ctypes.string_at(out.value + 32, 48))
assert fields[1:7] == (1, 0, 2, 2, 32, 1) and fields[0], f"a tensor {{fields}}"
""",
        risky=True,
    ),
    _check(
        "api-stream",
        rules.EXCHANGE_STREAM,
        f"{_SOUND}\nassert functions(tp)[4], 'it has no function'\nassert x.__dlpack_device__()[0] == 1",
        f"""
{_CALL}
out = ctypes.c_void_p(7)
call(functions(tp)[4], ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(1, 0, ctypes.addressof(out))
assert out.value is None, f"the host's stream is {{out.value:#x}}"
""",
        risky=True,
    ),
    _check(
        "api-refusal",
        rules.EXCHANGE_REFUSAL,
        """
refused = REFUSED
assert refused, "not tested: no refused= was given: what the library must not export"
assert hasattr(type(refused[0]), "__dlpack_c_exchange_api__"), "the type has no C exchange API"
""",
        f"""
{_CALL}
def exported(x, out=ctypes.c_void_p()):
    try: return call(functions(type(x))[1], ctypes.py_object, ctypes.c_void_p)(x, ctypes.addressof(out)) == 0
    except Exception: return False
wrong = [x for x in refused if exported(x)]
assert not wrong, f"exported: {{wrong}}"
""",
        risky=True,
    ),
)
