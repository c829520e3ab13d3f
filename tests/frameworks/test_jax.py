"""What is peculiar to jax: its switch of 64-bit types, tracers, deleted and sharded arrays, alignment, copy=True."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from patience import PATIENCE
from refusals import refused

import interop
from interop.testing import assert_identical

torch = pytest.importorskip("torch")


def aligned(values: Any, dtype: str = "float32") -> np.ndarray[Any, Any]:
    source = np.asarray(values)
    made = interop.empty_aligned(source.shape, dtype)
    made[...] = source
    return made


def pointer(x: Any) -> int:
    return int(x.unsafe_buffer_pointer())


@pytest.mark.parametrize("name", ["float64", "int64", "uint64", "complex128"])
def test_what_jax_would_truncate_is_refused_and_the_switch_is_named(name: str) -> None:
    a = np.array([2**40 + 3], name)
    with jax.enable_x64(False):
        # Not a warning: jax.dlpack.from_dlpack says nothing, with copy=False too (jax#11895).
        for copy in (None, False, True):
            with pytest.raises(interop.DTypeError, match="jax_enable_x64 is off"):
                interop.to_jax(a, copy=copy)
        assert not interop.explain(a, "jax")
        half = name.replace("64", "32").replace("128", "64")
        assert interop.to_jax(a, dtype=half).dtype == half
    with jax.enable_x64(True):
        assert interop.to_numpy(interop.to_jax(a)) == a


def test_a_64_bit_array_is_read_also_where_the_switch_is_off() -> None:
    with jax.enable_x64(True):
        x = jnp.array([1e300, 2.0])
    with jax.enable_x64(False):
        assert interop.to_numpy(x).tolist() == [1e300, 2.0]
        assert interop.to_torch(x).dtype == torch.float64
        assert interop.to_jax(x) is x


def test_copy_true_copies() -> None:
    """jax.dlpack.from_dlpack(a, copy=True) has the same memory as a, on the host."""
    a = aligned([1, 2, 3])
    x = interop.to_jax(a, copy=True)
    a[:] = 7
    assert x.tolist() == [1, 2, 3]
    y = interop.to_jax(x, copy=True)
    assert pointer(y) != pointer(x)


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_what_is_written_after_the_call_is_not_seen(library: str) -> None:
    """jax reads later, from its own threads: ten of ten runs gave wrong values."""
    a = aligned(np.ones((300, 300)))
    source = a if library == "numpy" else torch.from_numpy(a)
    x = interop.to_jax(source)
    total = (x @ x).sum()
    a[...] = 0
    assert float(total) == 300.0**3


def test_copy_false_says_that_an_alias_is_wanted() -> None:
    a = aligned([1, 2, 3])
    x = interop.to_jax(a, copy=False)
    assert pointer(x) == a.ctypes.data
    plan = interop.explain(a, "jax", copy=False)
    assert plan.zero_copy
    assert "may cache what it read" in str(plan)


def test_a_readonly_array_is_taken_as_it_is() -> None:
    """jax.dlpack.from_dlpack refuses it (jax#40789): it asks for a capsule that can't say readonly."""
    a = aligned([1, 2, 3])
    a.flags.writeable = False
    assert pointer(interop.to_jax(a)) == a.ctypes.data


@pytest.mark.parametrize("offset", [1, 4, 16, 32])
def test_alignment_is_explained(offset: int) -> None:
    memory = interop.empty_aligned(128, "uint8")
    a = memory[offset : offset + 16]
    a.flags.writeable = False
    plan = interop.explain(a, "jax")
    assert plan.ok
    assert not plan.zero_copy
    assert "jax wants the address to be a multiple of 64 bytes" in str(plan)
    with pytest.raises(interop.CopyError, match=r"interop\.empty_aligned makes such memory"):
        interop.to_jax(a, copy=False)
    assert interop.to_jax(a).tolist() == a.tolist()


def test_layouts() -> None:
    a = aligned(np.arange(12.0).reshape(3, 4))
    turned = interop.to_jax(a.T, copy=False)
    assert pointer(turned) == a.ctypes.data
    assert turned.tolist() == a.T.tolist()
    # numpy's own asarray copies what isn't in C order.
    back = interop.to_numpy(turned)
    assert back.ctypes.data == a.ctypes.data
    assert back.strides == a.T.strides
    for odd in (a[::-1], a[:, ::2], np.broadcast_to(a[0], (3, 4))):
        with pytest.raises(interop.CopyError):
            interop.to_jax(odd, copy=False)
        assert interop.to_jax(odd).tolist() == odd.tolist()


def test_its_arrays_are_readonly() -> None:
    x = jnp.ones(4)
    a = interop.to_numpy(x)
    assert a.ctypes.data == pointer(x)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 7
    assert interop.view(x).readonly
    t = interop.to_torch(x)
    t.fill_(7)
    assert x.tolist() == [1, 1, 1, 1]
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_torch(x, copy=False)
    assert interop.to_torch(x, copy=False, writable=False).data_ptr() == pointer(x)
    with pytest.raises(interop.ReadOnlyError, match="never writable"):
        interop.to_jax(np.ones(3, np.float32), writable=True)


@pytest.mark.parametrize("name", ["int4", "uint4", "float4_e2m1fn"])
def test_packed_types_cross_by_a_copy(name: str) -> None:
    a = np.array([1, 2, 3, 0], getattr(ml_dtypes, name))
    x = interop.to_jax(a)
    assert x.dtype == a.dtype
    assert interop.to_numpy(x).tobytes() == a.tobytes()
    with pytest.raises(interop.CopyError, match="in memory of its own only"):
        interop.to_jax(a, copy=False)
    with pytest.raises(interop.CopyError, match="only its own framework can decode it"):
        interop.to_numpy(x, copy=False)
    assert interop.to_numpy(x, dtype="float32").tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap], ids=["jit", "grad", "vmap"])
def test_a_tracer_is_refused_by_name_and_is_itself_to_jax(transform: Any) -> None:
    seen: list[str] = []

    def function(x: Any) -> Any:
        seen.append(refused(x))
        assert interop.to_jax(x) is x
        assert interop.framework(x) == "jax"
        return x.sum()

    transform(function)(jnp.ones(3) if transform is not jax.grad else jnp.float32(1))
    assert "tracer" in seen[0]


@pytest.mark.parametrize("transform", [jax.jit, jax.vmap, jax.grad, jax.make_jaxpr], ids=lambda each: each.__name__)
def test_options_inside_a_traced_function_are_jax_operations(transform: Any) -> None:
    def function(x: Any) -> Any:
        assert interop.to_jax(x, copy=False, order="C", writable=False) is x
        narrow = interop.to_jax(x, dtype="bfloat16", copy=True)
        assert narrow.dtype == jnp.bfloat16
        copied = interop.to_jax(x, copy=True)
        assert copied is not x
        every: list[dict[str, Any]] = [{}, {"dtype": "int8"}, {"copy": True}, {"device": "cpu"}]
        assert all(interop.explain(x, "jax", **options).ok for options in every)
        return (copied + narrow.astype("float32")).sum()

    x = jnp.float32(3) if transform is jax.grad else jnp.ones((2, 3))
    made = transform(function)(x)
    if transform is jax.grad:
        assert float(made) == 2  # the graph goes through both


REFUSED_INSIDE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"order": "F"}, interop.UnsupportedError, r"interop\.to_jax\(x\)"),
    ({"device": (2, 0)}, interop.DeviceError, r"interop\.to_jax\(x\)"),
    ({"dtype": "float64"}, interop.DTypeError, "x64"),
    ({"dtype": "int8", "copy": False}, interop.CopyError, r"interop\.to_jax\(x, dtype='int8'\)"),
    ({"writable": True}, interop.ReadOnlyError, r"interop\.to_jax\(x\)"),
]


@pytest.mark.parametrize(("options", "kind", "fix"), REFUSED_INSIDE, ids=str)
def test_what_no_traced_operation_gives_is_refused(options: dict[str, Any], kind: type[Exception], fix: str) -> None:
    def function(x: Any) -> Any:
        plan = interop.explain(x, "jax", **options)
        with pytest.raises(kind, match=fix) as caught:
            interop.to_jax(x, **options)
        assert (type(plan.error), str(plan.error)) == (caught.type, str(caught.value))
        return x

    with jax.enable_x64(False):
        jax.jit(function)(jnp.ones((2, 3)))


def test_a_constant_is_converted_inside_a_traced_function() -> None:
    a = aligned([1, 2, 3])
    assert float(jax.jit(lambda x: (x * interop.to_jax(a)).sum())(jnp.ones(3))) == 6


def test_deleted_arrays_are_refused_by_name() -> None:
    x = jnp.ones(3)
    x.delete()
    assert "deleted or donated" in refused(x)
    with pytest.raises(interop.UnsupportedError):
        interop.convert(x, "jax", copy=True)


def test_what_was_handed_over_outlives_deletion_and_donation() -> None:
    for spend in (lambda x: x.delete(), jax.jit(lambda x: x + 1, donate_argnums=0)):
        x = jnp.arange(1000.0)
        a, v = interop.to_numpy(x), interop.view(x)
        spend(x)
        del x
        gc.collect()
        jnp.zeros(1000).block_until_ready()
        assert a.tolist() == interop.to_numpy(v).tolist() == list(range(1000))


def test_donation_does_not_write_into_memory_that_was_lent() -> None:
    a = aligned(np.arange(1000.0))
    x = interop.to_jax(a, copy=False)
    jax.jit(lambda x: x + 1, donate_argnums=0)(x).block_until_ready()
    assert a.tolist() == list(range(1000))


def test_keys_and_references_are_refused_by_name() -> None:
    assert "jax.random.key_data(x)" in refused(jax.random.key(0))
    if hasattr(jax, "new_ref"):
        assert "x[...]" in refused(jax.new_ref(jnp.ones(3)))


def test_an_array_whose_values_are_not_there_yet() -> None:
    big = jnp.ones((600, 600))
    x = big @ big
    plan = interop.explain(x, "numpy")
    assert plan.ok
    assert interop.to_numpy(x)[0, 0] == 600


def test_devices_are_jax_devices() -> None:
    cpu = jax.devices("cpu")[0]
    assert interop.Device(cpu) == "cpu"
    a = aligned([1, 2, 3])
    assert interop.to_jax(a, device=cpu).devices() == {cpu}
    with pytest.raises(interop.DeviceError):
        interop.to_jax(a, device="cuda:0")


SEVERAL = """
import numpy as np, jax, jax.numpy as jnp, interop
from jax.sharding import Mesh, NamedSharding, PartitionSpec

one, two, three = jax.devices()
x = jax.device_put(jnp.arange(6.0).reshape(2, 3), three)
# What jax says of itself is (1, 0), and what its capsule says is (1, 2).
assert interop.device(x) == "cpu:2" and interop.view(x).device == "cpu:2", interop.device(x)
a = interop.to_numpy(x)
assert a.ctypes.data == x.unsafe_buffer_pointer()
assert interop.to_jax(x) is x and interop.to_jax(x, device="cpu:2") is x
y = interop.to_jax(x, device="cpu:1")
assert y.devices() == {two} and y.tolist() == x.tolist()
assert interop.explain(x, "jax", device="cpu:1").transferred_bytes == 24
try: interop.to_jax(x, device="cpu:1", copy=False)
except interop.CopyError: pass
else: raise AssertionError
b = interop.empty_aligned(4, "float32")
b[:] = 1
assert interop.to_jax(b).devices() == {one}
lent = interop.to_jax(b, copy=False, device=two)
assert lent.devices() == {two} and lent.unsafe_buffer_pointer() == b.ctypes.data
assert interop.convert_like(b, x).devices() == {three}
try: interop.to_jax(b, device="cpu:3")
except interop.DeviceError as error: assert "jax sees 3 devices" in str(error)
else: raise AssertionError
mesh = Mesh(np.array(jax.devices()), ("i",))
for spec, fix in ((PartitionSpec("i"), "jax.device_put"), (PartitionSpec(), "x.addressable_data(0)")):
    z = jax.device_put(jnp.arange(6.0), NamedSharding(mesh, spec))
    assert interop.to_jax(z) is z
    for call in (interop.to_numpy, interop.view):
        try: call(z)
        except interop.UnsupportedError as error: assert "lies on 3 devices" in str(error) and fix in str(error)
        else: raise AssertionError
"""


def test_several_devices_on_the_host() -> None:
    flags = "--xla_force_host_platform_device_count=3"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(SEVERAL)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags},
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr


def test_naming_jax_starts_no_backend() -> None:
    code = """
    import jax, interop, numpy as np
    assert interop.adapters()["jax"].installed
    assert interop.DType(jax.numpy.bfloat16) == "bfloat16"
    interop.to_numpy(np.ones(3)), interop.view(np.ones(3))
    # Too late once a backend is there.
    jax.config.update("jax_num_cpu_devices", 2)
    assert len(jax.devices()) == 2
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


def test_jax_scalar_types_are_spellings() -> None:
    assert interop.DType(jnp.bfloat16) == "bfloat16"
    assert interop.to_numpy(jnp.ones(2), dtype=jnp.int32).dtype == np.int32


@pytest.mark.parametrize("name", ["int4", "uint2", "float4_e2m1fn"])
def test_what_jax_packs_is_compared_element_by_element(name: str) -> None:
    a = np.array([[1, 0, 1], [0, 1, 1]]).astype(getattr(ml_dtypes, name))
    assert_identical(interop.to_jax(a), a)
    with pytest.raises(AssertionError, match="elements differ"):
        assert_identical(interop.to_jax(a), a[::-1])
    with pytest.raises(interop.CopyError, match=r"interop\.view\(interop\.to_numpy\(x, copy=True\)\) copies"):
        interop.view(interop.to_jax(a))
    assert interop.view(interop.to_numpy(interop.to_jax(a), copy=True)).shape == (2, 3)


def test_an_integer_is_offered_an_integer() -> None:
    with jax.enable_x64(False), pytest.raises(interop.DTypeError, match="dtype='int32'"):
        interop.to_jax(np.arange(3))


def test_a_switch_of_what_a_target_holds_is_seen() -> None:
    a = np.zeros(3)
    before = jax.config.jax_enable_x64
    try:
        for on in (False, True, False):
            jax.config.update("jax_enable_x64", on)
            if on:
                assert interop.to_jax(a, copy=True).dtype == "float64"
            else:
                with pytest.raises(interop.DTypeError):
                    interop.to_jax(a, copy=True)
    finally:
        jax.config.update("jax_enable_x64", before)


def test_what_its_dlpack_lacks_is_no_way_round() -> None:
    x = jnp.arange(6).reshape(2, 3)
    a, b = interop.to_numpy(x, dtype="int4"), interop.to_numpy(x, dtype="int4", order="F")
    assert (a.strides, b.strides) == ((3, 1), (1, 2))
    assert a.astype("int32").tolist() == b.astype("int32").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_what_needs_no_value_works_in_transformed_functions() -> None:
    def questions(v: Any) -> Any:
        assert interop.framework(v) == "jax"
        assert interop.dtype(v) == "float32"
        assert interop.device(v) == "cpu"
        assert interop.to_jax(v) is v
        assert interop.convert_like(v, v) is v
        assert interop.explain(v, "jax").ok
        # What isn't traced is a constant there.
        return v * 2 + interop.convert_like(np.ones(2, np.float32), v)

    y = jnp.ones((3, 2), "float32")
    assert jax.jit(questions)(y).tolist() == [[3, 3]] * 3
    assert jax.vmap(questions)(y).tolist() == [[3, 3]] * 3
    assert jax.grad(lambda v: questions(v).sum())(y).tolist() == [[2, 2]] * 3


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int4"])
@pytest.mark.parametrize("target", ["numpy", "jax", "mlx"])
def test_the_greatest_float4_is_no_infinity(dtype: str, target: str) -> None:
    """XLA's own cast makes the greatest integer of it."""
    if target == "mlx" and dtype == "int4":
        pytest.skip("mlx has no int4")
    wanted = [0, 2, 6] if dtype.startswith("uint") else [-6, 2, 6]
    x = jnp.array(np.array(wanted, ml_dtypes.float4_e2m1fn))
    assert np.array(interop.convert(x, target, dtype=dtype)).astype("int32").tolist() == wanted
    if target == "jax":
        traced = jax.jit(lambda y: interop.to_jax(y, dtype=dtype))(x)
        assert np.array(traced).astype("int32").tolist() == wanted


def test_a_promise_lets_jax_take_readonly_memory_by_a_legacy_capsule() -> None:
    a = interop.empty_aligned(16, "float32")
    a[:] = 3
    a.flags.writeable = False
    view = interop.view(a, writable=False)
    assert jax.dlpack.from_dlpack(view).tolist() == [3] * 16
    with pytest.raises(BufferError, match=r"interop\.view\(x, writable=False\)"):
        interop.view(a).__dlpack__()
