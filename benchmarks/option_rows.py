"""The comparisons of calls with options, in host memory: what each costs beside the shortest right call by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks.rows import NUMPY, TORCH, Comparison, Source, Way, a_copy, answers, shares

#: The section of the report.
OPTIONS: Final = "small tensors, with options"

_T_GRAD: Final = Source("t", "torch float32 3x4 with grad, new", "torch.rand(3, 4, requires_grad=True)", fresh=True)
_T_AGAIN: Final = replace(TORCH, text="torch float32 3x4, the same each call", fresh=False)
_T_CONJ: Final = Source(
    "t", "torch complex64 3x4, conjugate bit, new", "torch.rand(3, 4, dtype=torch.complex64).conj()", fresh=True
)
_T_NEG: Final = replace(
    _T_CONJ, text="torch float32 3x4, negative bit, new", code="torch.rand(3, 4, dtype=torch.complex64).conj().imag"
)
_FROZEN: Final = replace(NUMPY, text="numpy float32 3x4, readonly", code=f"frozen({NUMPY.code})")
_BYTES: Final = Source("b", "48 bytes", "bytes(48)")
_MEMORYVIEW: Final = Source("b", "a memoryview of 12 float32", f"memoryview({NUMPY.code}.ravel())")

_ROWS: Final = (
    Comparison("to_numpy, locked already", _T_AGAIN, Way("to_numpy(t)"), shares("t.numpy()", "np.from_dlpack(t)")),
    Comparison("copy=True", TORCH, a_copy("to_numpy(t, copy=True)"), (a_copy("t.numpy().copy()"),)),
    Comparison(
        "detach=True, copy=True",
        _T_GRAD,
        a_copy("to_numpy(t, detach=True, copy=True)"),
        (a_copy("t.detach().numpy().copy()"),),
    ),
    Comparison("detach=True", _T_GRAD, Way("to_numpy(t, detach=True)"), shares("t.detach().numpy()")),
    Comparison("device='cpu'", TORCH, Way("to_numpy(t, device='cpu')"), shares("t.numpy()")),
    Comparison("the same dtype", TORCH, Way("to_numpy(t, dtype='float32')"), shares("t.numpy()")),
    Comparison("order='C'", TORCH, Way("to_numpy(t, order='C')"), shares("t.contiguous().numpy()")),
    Comparison("writable=False", TORCH, Way("to_numpy(t, writable=False)"), shares("frozen(t.numpy())")),
    Comparison("a cast to numpy", TORCH, a_copy("to_numpy(t, dtype='float64')"), (a_copy("t.double().numpy()"),)),
    Comparison(
        "a cast to torch",
        NUMPY,
        a_copy("to_torch(a, dtype='float64')"),
        (a_copy("torch.from_numpy(a.astype('float64'))"),),
    ),
    Comparison("a conjugate bit", _T_CONJ, a_copy("to_numpy(t)"), (a_copy("t.resolve_conj().resolve_neg().numpy()"),)),
    Comparison("a negative bit", _T_NEG, a_copy("to_numpy(t)"), (a_copy("t.resolve_conj().resolve_neg().numpy()"),)),
    Comparison("readonly to torch", _FROZEN, a_copy("to_torch(a)"), (a_copy("torch.from_numpy(a.copy())"),)),
    Comparison(
        "readonly to torch, writable=False",
        _FROZEN,
        Way("to_torch(a, writable=False)"),
        # By hand there is no call without a warning: beside an array that may be written.
        (answers("torch.from_numpy(an_array)"),),
    ),
    Comparison("copy=True to torch", NUMPY, a_copy("to_torch(a, copy=True)"), (a_copy("torch.from_numpy(a).clone()"),)),
    Comparison("convert to a module", TORCH, Way("convert(t, np)"), shares("t.numpy()")),
    Comparison("convert_like", TORCH, Way("convert_like(t, an_array)"), shares("t.numpy()")),
    Comparison("copyto numpy", TORCH, answers("copyto(an_array, t)"), (answers("np.copyto(an_array, t.numpy())"),)),
    Comparison(
        "copyto torch", NUMPY, answers("copyto(a_tensor, a)"), (answers("a_tensor.copy_(torch.from_numpy(a))"),)
    ),
    Comparison("bytes to_numpy", _BYTES, Way("to_numpy(b)"), shares("np.frombuffer(b, 'uint8')")),
    Comparison("memoryview to_numpy", _MEMORYVIEW, Way("to_numpy(b)"), shares("np.asarray(b)")),
    Comparison("explain", _T_AGAIN, answers("explain(t, 'numpy')"), (answers("t.numpy()"),)),
)

OPTION_COMPARISONS: Final = tuple(replace(comparison, section=OPTIONS) for comparison in _ROWS)
