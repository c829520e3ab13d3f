"""The comparisons with the other frameworks: each adapter's routes in and out, beside the framework's own calls.

Each environment that can hold some of them together has its rows: `make bench` and `make bench-frameworks` make them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks.rows import NUMPY, TORCH, Comparison, Source, Way, a_copy, copies, shares

#: The section of the report.
OTHERS: Final = "other frameworks, small tensors"

_A_ALIGNED: Final = replace(NUMPY, text="numpy float32 3x4, on a multiple of 64 bytes", code="aligned()")
_A_LINE: Final = replace(NUMPY, text="numpy float32 12", code="np.ones(12, np.float32)")
_J: Final = Source("j", "jax float32 3x4", "jax.numpy.ones((3, 4))")
_M: Final = Source("m", "mlx float32 3x4, evaluated", "mx.array(aligned())")
_R: Final = Source("r", "pyarrow float32 12", "pa.array(np.ones(12, np.float32))")
_F: Final = Source("f", "tvm_ffi float32 3x4", "tvm_ffi.from_dlpack(np.ones((3, 4), np.float32))")
_W: Final = Source("w", "warp float32 3x4", "wp.array(np.ones((3, 4), np.float32), device='cpu')")
_X: Final = Source("x", "array_api_strict float32 3x4", "xps.asarray(np.ones((3, 4), np.float32))")
_D: Final = Source("d", "pandas float32 12", "pd.Series(np.ones(12, np.float32))")
_L: Final = Source("s", "polars float32 12", "pl.Series(np.ones(12, np.float32))")
_N: Final = Source("n", "xarray float32 3x4", "xr.DataArray(np.ones((3, 4), np.float32))")
_I: Final = Source("i", "Pillow RGB 16x16", "Image.new('RGB', (16, 16))")
_E: Final = Source("e", "tensorflow float32 3x4", "tf.ones((3, 4))")
_P: Final = Source("p", "paddle float32 3x4", "paddle.ones([3, 4])")
_O: Final = Source("o", "dpnp float32 3x4 on an OpenCL CPU", "dpnp.ones((3, 4), dtype='float32')")


_TOGETHER: Final = (
    Comparison("to_jax", _A_ALIGNED, Way("to_jax(a, copy=False)"), shares("jax.dlpack.from_dlpack(a)")),
    Comparison("copied to_jax", NUMPY, a_copy("to_jax(a)"), copies("jax.numpy.array(a)")),
    Comparison("to_mlx", NUMPY, a_copy("to_mlx(a)"), copies("mx.array(a)", "mx.from_dlpack(a)")),
    Comparison("to_tvm_ffi", NUMPY, Way("to_tvm_ffi(a)"), shares("tvm_ffi.from_dlpack(a)")),
    Comparison("to_warp", NUMPY, Way("to_warp(a)"), (*shares("wp.from_dlpack(a)"), *copies("wp.from_numpy(a)"))),
    Comparison("to_array_api_strict", NUMPY, Way("to_array_api_strict(a)"), shares("xps.from_dlpack(a)")),
    Comparison("torch to_jax", TORCH, Way("to_jax(t, copy=False)"), shares("jax.dlpack.from_dlpack(t)")),
    Comparison("torch to_tvm_ffi", TORCH, Way("to_tvm_ffi(t)"), shares("tvm_ffi.from_dlpack(t)")),
    Comparison("jax to_numpy", _J, Way("to_numpy(j)"), shares("np.asarray(j)", "np.from_dlpack(j)")),
    Comparison("jax to_torch", _J, Way("to_torch(j, writable=False)"), shares("torch.from_dlpack(j)")),
    Comparison("mlx to_numpy", _M, Way("to_numpy(m)"), shares("np.asarray(m)", "np.from_dlpack(m)")),
    Comparison("to_pyarrow", _A_LINE, Way("to_pyarrow(a)"), shares("pa.array(a)")),
    Comparison("pyarrow to_numpy", _R, Way("to_numpy(r)"), shares("r.to_numpy()", "np.from_dlpack(r)")),
    Comparison("tvm_ffi to_numpy", _F, Way("to_numpy(f)"), shares("np.from_dlpack(f)")),
    Comparison("tvm_ffi to_torch", _F, Way("to_torch(f)"), shares("torch.from_dlpack(f)")),
    Comparison("warp to_numpy", _W, Way("to_numpy(w)"), shares("w.numpy()", "np.from_dlpack(w)")),
    Comparison("array_api_strict to_numpy", _X, Way("to_numpy(x)"), shares("np.from_dlpack(x)")),
    Comparison("pandas to_numpy", _D, Way("to_numpy(d)"), shares("d.to_numpy()")),
    Comparison("polars to_numpy", _L, Way("to_numpy(s)"), shares("s.to_numpy()")),
    Comparison("xarray to_numpy", _N, Way("to_numpy(n)"), shares("n.to_numpy()")),
    Comparison("Pillow to_numpy", _I, Way("to_numpy(i)", shares=None), (Way("np.asarray(i)", shares=None),)),
)

_TENSORFLOW: Final = (
    Comparison(
        "to_tensorflow",
        _A_ALIGNED,
        Way("to_tensorflow(a, copy=False)"),
        shares("tf.experimental.dlpack.from_dlpack(a.__dlpack__())"),
    ),
    Comparison(
        "copied to_tensorflow", NUMPY, a_copy("to_tensorflow(a)"), copies("tf.constant(a)", "tf.convert_to_tensor(a)")
    ),
    Comparison("tensorflow to_numpy", _E, Way("to_numpy(e)"), (*copies("e.numpy()"), *shares("np.from_dlpack(e)"))),
)

_PADDLE: Final = (
    Comparison(
        "to_paddle", NUMPY, Way("to_paddle(a)"), (*shares("paddle.from_dlpack(a)"), *copies("paddle.to_tensor(a)"))
    ),
    Comparison("torch to_paddle", TORCH, Way("to_paddle(t)"), shares("paddle.from_dlpack(t)")),
    Comparison("paddle to_numpy", _P, Way("to_numpy(p)"), (*copies("p.numpy()"), *shares("np.from_dlpack(p)"))),
    Comparison("paddle to_torch", _P, Way("to_torch(p)"), shares("torch.from_dlpack(p)")),
)

_ONEAPI: Final = (
    Comparison("to_dpnp", NUMPY, Way("to_dpnp(a, device='oneapi')", shares=None), (Way("dpnp.array(a)", shares=None),)),
    Comparison("dpnp to host", _O, Way("to_numpy(o, device='cpu')", shares=None), (Way("o.asnumpy()", shares=None),)),
)

_FILE: Final = Source("p", "a safetensors file of 64 MB, float32", "a_file(64)")
_SEGMENT: Final = Source("s", "1,000 x 1,000 bfloat16 in shared memory", "a_segment()")
_BIG: Final = Source("t", "torch float32, 100 MB", "torch.ones(25_000_000)")
_BIG_ARRAY: Final = Source("a", "numpy float32, 100 MB", "np.ones(25_000_000, np.float32)")

# Theirs is asked for what it can do best: numpy pickles its own arrays out of band since protocol 5.
_ENGINES: Final = (
    Comparison(
        "pickle out of band",
        _BIG,
        Way("there_and_back(dumps, t)", shares=None),
        (Way("there_and_back(pickle.dumps, t.numpy())", shares=None),),
    ),
    Comparison(
        "pickle numpy out of band",
        _BIG_ARRAY,
        Way("there_and_back(dumps, a)", shares=None),
        (Way("there_and_back(pickle.dumps, a)", shares=None),),
    ),
    Comparison(
        "pickle in band",
        TORCH,
        Way("pickle.loads(dumps(t))", shares=None),
        (Way("pickle.loads(pickle.dumps(t, 5))", shares=None),),
    ),
    Comparison(
        "load safetensors",
        _FILE,
        Way("load_file(p, 'torch')['w'].sum()", shares=None),
        (Way("their_load_file(p)['w'].sum()", shares=None),),
    ),
    Comparison(
        "attach shared memory",
        _SEGMENT,
        Way("attach(s.name)", shares=None),
        (Way("their_attach(s.name)", shares=None),),
    ),
)

#: By the environment that can hold them, a dependency group of pyproject.toml each; "bench" is that of make bench.
FRAMEWORK_COMPARISONS: Final = {
    leg: tuple(replace(comparison, section=OTHERS) for comparison in comparisons)
    for leg, comparisons in (
        ("bench", _TOGETHER),
        ("tensorflow", _TENSORFLOW),
        ("paddle", _PADDLE),
        ("oneapi", _ONEAPI),
        ("engines", _ENGINES),
    )
}
