"""The comparisons: what is handed over, our call, and the calls beside it. The code shown is the code that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, Final

from benchmarks.names import resolve

#: The sections of the report, in order.
SMALL: Final = "small tensors"
LARGE: Final = "large tensors"


@dataclass(frozen=True)
class Source:
    """What is handed over.

    Attributes
    ----------
    variable
        The name that the code of the ways uses.
    text
        In words.
    code
        Makes one.
    fresh
        Whether each call gets a new one: a first call on a tensor may cost more than later ones.
    """

    variable: str
    text: str
    code: str
    fresh: bool = False

    def maker(self) -> Callable[[int], Sequence[Any]]:
        """Return what makes the objects of one block."""
        make = eval(f"lambda: {self.code}", resolve(self.code))
        if self.fresh:
            return lambda number: [make() for _ in range(number)]
        once = make()
        return lambda number: list(repeat(once, number))


@dataclass(frozen=True)
class Way:
    """One way to do it.

    Attributes
    ----------
    code
        An expression.
    shares
        Whether the result is on the source's memory: checked before anything is timed. None where it is no array.
    same
        Whether the result has the element type of our call's: then its bits are compared too.
    """

    code: str
    shares: bool | None = True
    same: bool = True


@dataclass(frozen=True)
class Comparison:
    """Our call and the calls beside it, on one source.

    Attributes
    ----------
    name
        As in the file of budgets.
    source
        What is handed over.
    ours
        Our call.
    others
        What a user might do instead; the first is the way by hand.
    section
        Of the report.
    """

    name: str
    source: Source
    ours: Way
    others: tuple[Way, ...]
    section: str = SMALL


def a_copy(code: str, *, same: bool = True) -> Way:
    """One way that copies."""
    return Way(code, shares=False, same=same)


def copies(*codes: str) -> tuple[Way, ...]:
    """Ways that copy."""
    return tuple(map(a_copy, codes))


def shares(*codes: str) -> tuple[Way, ...]:
    """Ways that share the memory."""
    return tuple(Way(code) for code in codes)


def answers(code: str) -> Way:
    """One way whose result is no array."""
    return Way(code, shares=None)


TORCH: Final = Source("t", "torch float32 3x4, a new one each call", "torch.rand(3, 4)", fresh=True)
_T_AGAIN: Final = replace(TORCH, text="torch float32 3x4, the same each call", fresh=False)
_T_GRAD: Final = Source("t", "torch float32 3x4 with grad, new", "torch.rand(3, 4, requires_grad=True)", fresh=True)
_T_BF16: Final = Source("t", "torch bfloat16 3x4, new", "torch.rand(3, 4).bfloat16()", fresh=True)
_T_BF16_AGAIN: Final = replace(_T_BF16, text="torch bfloat16 3x4, the same", fresh=False)
_T_FP8: Final = Source("t", "torch float8_e4m3fn 3x4, new", "torch.rand(3, 4).to(torch.float8_e4m3fn)", fresh=True)
NUMPY: Final = Source("a", "numpy float32 3x4", "np.random.default_rng(0).random((3, 4), np.float32)")
_A_FRESH: Final = replace(NUMPY, text="numpy float32 3x4, a new one each call", fresh=True)
_A_FROZEN: Final = replace(NUMPY, text="numpy float32 3x4, readonly", code=f"frozen({NUMPY.code})")
_A_BF16: Final = replace(NUMPY, text="numpy bfloat16 3x4", code=f"{NUMPY.code}.astype(bfloat16)")
_A_FP8: Final = replace(NUMPY, text="numpy float8_e4m3fn 3x4", code=f"{NUMPY.code}.astype(float8_e4m3fn)")


_SMALL: Final = (
    Comparison(
        "to_numpy",
        TORCH,
        Way("to_numpy(t)"),
        shares(
            "t.numpy()",
            "np.asarray(t)",
            "np.from_dlpack(t)",
            "np.from_dlpack(tvm_ffi.from_dlpack(t))",
            "convert_memory(t, 'torch', 'numpy', HOST)",
        ),
    ),
    Comparison("convert to numpy", TORCH, Way("convert(t, 'numpy')"), shares("t.numpy()", "np.from_dlpack(t)")),
    Comparison(
        "to_torch",
        NUMPY,
        Way("to_torch(a)"),
        shares(
            "torch.from_numpy(a)",
            "torch.as_tensor(a)",
            "torch.asarray(a)",
            "torch.from_dlpack(a)",
            "torch.from_dlpack(tvm_ffi.from_dlpack(a))",
            "convert_memory(a, 'numpy', 'torch', HOST)",
        ),
    ),
    Comparison("to_torch once", _A_FRESH, Way("to_torch(a)"), shares("torch.from_numpy(a)", "torch.from_dlpack(a)")),
    Comparison(
        "convert to torch", NUMPY, Way("convert(a, 'torch')"), shares("torch.from_numpy(a)", "torch.from_dlpack(a)")
    ),
    Comparison(
        "view of torch",
        TORCH,
        Way("view(t)"),
        shares(
            "t.numpy()",
            "tvm_ffi.from_dlpack(t)",
            "StridedMemoryView.from_dlpack(t, stream_ptr=-1)",
            "StridedMemoryView.from_any_interface(t, stream_ptr=-1)",
        ),
    ),
    Comparison(
        "view of numpy",
        NUMPY,
        Way("view(a)"),
        shares(
            "memoryview(a)",
            "tvm_ffi.from_dlpack(a)",
            "StridedMemoryView.from_dlpack(a, stream_ptr=-1)",
            "StridedMemoryView.from_any_interface(a, stream_ptr=-1)",
        ),
    ),
    Comparison(
        "view of torch, read",
        TORCH,
        answers("read(view(t))"),
        (answers("read(StridedMemoryView.from_dlpack(t, stream_ptr=-1))"),),
    ),
    Comparison(
        "bfloat16 to_numpy",
        _T_BF16,
        Way("to_numpy(t)"),
        (
            Way("t.view(torch.int16).numpy().view(bfloat16)"),
            a_copy("t.float().numpy()", same=False),
        ),
    ),
    Comparison(
        "bfloat16 to_numpy again",
        _T_BF16_AGAIN,
        Way("to_numpy(t)"),
        shares("t.view(torch.int16).numpy().view(bfloat16)"),
    ),
    Comparison(
        "bfloat16 to_torch",
        _A_BF16,
        Way("to_torch(a)"),
        shares("torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)"),
    ),
    Comparison(
        "float8 to_numpy", _T_FP8, Way("to_numpy(t)"), shares("t.view(torch.uint8).numpy().view(float8_e4m3fn)")
    ),
    Comparison(
        "float8 to_torch",
        _A_FP8,
        Way("to_torch(a)"),
        shares("torch.from_numpy(a.view(np.uint8)).view(torch.float8_e4m3fn)"),
    ),
    Comparison("numpy to itself", NUMPY, Way("to_numpy(a)"), shares("np.asarray(a)")),
    Comparison("torch to itself", _T_AGAIN, Way("to_torch(t)"), shares("torch.as_tensor(t)")),
)

_BIG_T: Final = Source("t", "torch float32 64 MiB", "torch.rand(4096, 4096)")
_BIG_T_CONJ: Final = replace(
    _BIG_T, text="torch complex64 64 MiB, conjugate bit", code="torch.rand(2048, 4096, dtype=torch.complex64).conj()"
)
_BIG_T_BF16: Final = replace(_BIG_T, text="torch bfloat16 32 MiB", code="torch.rand(4096, 4096).bfloat16()")
_BIG_A: Final = Source("a", "numpy float32 64 MiB", "np.random.default_rng(0).random((4096, 4096), np.float32)")
_BIG_A_FROZEN: Final = replace(_BIG_A, text="numpy float32 64 MiB, readonly", code=f"frozen({_BIG_A.code})")
_BIG_A_FLIPPED: Final = replace(_BIG_A, text="numpy float32 64 MiB, rows reversed", code=f"{_BIG_A.code}[::-1]")
_BIG_A_SWAPPED: Final = replace(_BIG_A, text="numpy float32 64 MiB, other byte order", code=f"swapped({_BIG_A.code})")
_BIG_A_TURNED: Final = replace(_BIG_A, text="numpy float32 64 MiB, transposed", code=f"{_BIG_A.code}.T")

_BIG_T_TURNED: Final = replace(_BIG_T, text="torch float32 128 MiB, transposed", code="torch.rand(4096, 8192).T")
_BIG_A_WIDE: Final = replace(
    _BIG_A, text="numpy float32 128 MiB, transposed", code="np.random.default_rng(0).random((4096, 8192), np.float32).T"
)
_BIG_A_ODD: Final = replace(
    _BIG_A, text="numpy float32 122 MiB, transposed", code="np.random.default_rng(0).random((4001, 8003), np.float32).T"
)
_BIG_A_PIXELS: Final = replace(
    _BIG_A,
    text="numpy uint8 48 MiB, pixels to planes",
    code="np.random.default_rng(0).integers(0, 255, (4096, 4096, 3), np.uint8).transpose(2, 0, 1)",
)
_BIG_T_FLOAT16: Final = replace(_BIG_T, text="torch float16 32 MiB", code="torch.rand(4096, 4096).half()")
_BIG_A_BF16: Final = replace(_BIG_A, text="numpy bfloat16 32 MiB", code=f"{_BIG_A.code}.astype(bfloat16)")

#: What turns an array without numpy's own loop: torch's, into fresh memory of numpy's.
_BY_TORCH: Final = "torch.from_numpy(np.empty(a.shape, a.dtype)).copy_(torch.from_numpy(a))"

_LARGE: Final = (
    Comparison("large to_numpy", _BIG_T, Way("to_numpy(t)"), shares("t.numpy()")),
    Comparison("large to_torch", _BIG_A, Way("to_torch(a)"), shares("torch.from_numpy(a)")),
    Comparison("large copied to_numpy", _BIG_T, a_copy("to_numpy(t, copy=True)"), (a_copy("t.numpy().copy()"),)),
    Comparison(
        "large copied to_torch",
        _BIG_A,
        a_copy("to_torch(a, copy=True)"),
        (a_copy("torch.from_numpy(a).clone()"), a_copy("torch.from_numpy(a.copy())")),
    ),
    Comparison(
        "large readonly to_torch",
        _BIG_A_FROZEN,
        a_copy("to_torch(a)"),
        (a_copy("torch.tensor(a)"), a_copy("torch.from_numpy(a.copy())")),
    ),
    Comparison(
        "large reversed to_torch", _BIG_A_FLIPPED, a_copy("to_torch(a)"), (a_copy("torch.from_numpy(a.copy())"),)
    ),
    Comparison(
        "large byte order to_torch",
        _BIG_A_SWAPPED,
        a_copy("to_torch(a)"),
        (a_copy("torch.from_numpy(a.astype(np.float32))"),),
    ),
    Comparison(
        "large order to_torch",
        _BIG_A_TURNED,
        a_copy("to_torch(a, order='C')"),
        (a_copy("torch.from_numpy(np.ascontiguousarray(a))"), a_copy("torch.from_numpy(a).contiguous()")),
    ),
    Comparison(
        "large turned to_numpy",
        _BIG_T_TURNED,
        a_copy("to_numpy(t, order='C')"),
        copies(
            "torch.from_numpy(np.empty(t.shape, np.float32)).copy_(t).numpy()",
            "t.contiguous().numpy()",
            "np.ascontiguousarray(t.numpy())",
        ),
    ),
    Comparison(
        "large turned to_torch",
        _BIG_A_WIDE,
        a_copy("to_torch(a, order='C')"),
        copies(_BY_TORCH, "torch.from_numpy(a).contiguous()", "torch.from_numpy(np.ascontiguousarray(a))"),
    ),
    Comparison(
        "large turned within numpy",
        _BIG_A_ODD,
        a_copy("to_numpy(a, order='C')"),
        copies(_BY_TORCH, "np.ascontiguousarray(a)"),
    ),
    Comparison(
        "large pixels to_torch",
        _BIG_A_PIXELS,
        a_copy("to_torch(a, order='C')"),
        copies(_BY_TORCH, "torch.from_numpy(a).contiguous()", "torch.from_numpy(np.ascontiguousarray(a))"),
    ),
    Comparison("large conjugate to_numpy", _BIG_T_CONJ, a_copy("to_numpy(t)"), (a_copy("t.resolve_conj().numpy()"),)),
    Comparison(
        "large cast to_numpy",
        _BIG_T_BF16,
        a_copy("to_numpy(t, dtype='float32')"),
        (
            a_copy("t.float().numpy()"),
            a_copy("t.view(torch.int16).numpy().view(bfloat16).astype(np.float32)"),
        ),
    ),
    Comparison(
        "large float16 cast to_numpy",
        _BIG_T_FLOAT16,
        a_copy("to_numpy(t, dtype='float32')"),
        copies("t.float().numpy()", "t.numpy().astype(np.float32)"),
    ),
    Comparison(
        "large float16 cast to_torch",
        _BIG_A,
        a_copy("to_torch(a, dtype='float16')"),
        copies("torch.from_numpy(a).half()", "torch.from_numpy(a.astype(np.float16))"),
    ),
    Comparison(
        "large bfloat16 cast within numpy",
        _BIG_A_BF16,
        a_copy("to_numpy(a, dtype='float32')"),
        copies("a.astype(np.float32)", "torch.from_numpy(a.view(np.int16)).view(torch.bfloat16).float().numpy()"),
    ),
    Comparison(
        "large cast to_torch",
        _BIG_A,
        a_copy("to_torch(a, dtype='bfloat16')"),
        (
            a_copy("torch.from_numpy(a).bfloat16()"),
            a_copy("torch.from_numpy(a.astype(bfloat16).view(np.int16)).view(torch.bfloat16)"),
        ),
    ),
)

COMPARISONS: Final = _SMALL + tuple(replace(comparison, section=LARGE) for comparison in _LARGE)
