"""What is peculiar to tensorflow: what ends the process, what isn't memory, variables, tapes, constants."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from frames import is_planned
from patience import PATIENCE
from refusals import refused

import interop
from interop import _options
from interop._convert import _convert
from interop._options import DEFAULT
from interop._registry.targets import target_adapter
from interop.testing import assert_identical

# Any: what types there are for it leave out half of what its functions take.
tf: Any = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")


def aligned(values: Any, dtype: str = "float32") -> np.ndarray[Any, Any]:
    source = np.asarray(values)
    made = interop.empty_aligned(source.shape, dtype)
    made[...] = source
    return made


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf.constant(["a", "b"]), "strings"),
        (lambda: tf.Variable(["a", "b"]), "strings"),
        (lambda: tf.Variable(1.0).handle, "handles of resources"),
        (lambda: tf.bitcast(tf.constant([1], tf.uint8), tf.quint8), "quint8"),
        (lambda: tf.ragged.constant([[1, 2], [3]]), "x.to_tensor()"),
        (lambda: tf.sparse.from_dense([[1, 0], [0, 2]]), "to_dense"),
        (lambda: tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0])), "convert_to_tensor"),
        (lambda: tf.Variable(1.0, shape=tf.TensorShape(None)), "x.value()"),
    ],
)
def test_what_is_no_block_of_numbers_is_refused_by_name(make: Any, words: str) -> None:
    """A tensor of strings that is asked for its capsule ends the process."""
    assert words in refused(make())


def test_a_symbol_is_refused_by_name_and_is_itself_to_tensorflow() -> None:
    seen: list[str] = []
    # As autograph rewrites it, it holds other references.
    as_written = tf.autograph.experimental.do_not_convert(refused)

    def traced(x: Any) -> Any:
        seen.append(as_written(x))
        with pytest.raises(interop.UnsupportedError, match="has no values"):
            interop.to_numpy(x)
        assert interop.to_tensorflow(x) is x
        return x

    tf.function(traced)(tf.ones(3))
    assert "has no values" in seen[0]


def test_options_inside_a_function_are_tensorflow_operations() -> None:
    def traced(x: Any) -> Any:
        assert interop.to_tensorflow(x, copy=False, order="C", writable=False) is x
        narrow = interop.to_tensorflow(x, dtype="bfloat16", copy=True)
        assert narrow.dtype == tf.bfloat16
        copied = interop.to_tensorflow(x, copy=True)
        assert copied is not x
        assert interop.explain(x, "tensorflow", dtype="int8").ok
        refused: list[tuple[dict[str, Any], type[interop.InteropError]]] = [
            ({"order": "F"}, interop.UnsupportedError),
            ({"device": "cpu"}, interop.DeviceError),
            ({"dtype": "int8", "copy": False}, interop.CopyError),
        ]
        for options, kind in refused:
            with pytest.raises(kind, match=r"interop\.to_tensorflow\(x"):
                interop.to_tensorflow(x, **options)
        return tf.reduce_sum(copied + tf.cast(narrow, tf.float32))

    x = tf.ones((2, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(traced, autograph=False)(x)
    assert float(y) == 12
    assert tape.gradient(y, x).numpy().tolist() == [[2, 2, 2], [2, 2, 2]]


def test_a_symbol_of_unknown_shape_is_refused_with_operations_that_work() -> None:
    def traced(x: Any) -> Any:
        with pytest.raises(interop.UnsupportedError, match=r"tensorflow\.cast"):
            interop.to_tensorflow(x, dtype="float64")
        return x

    tf.function(traced, autograph=False, input_signature=[tf.TensorSpec((None,), tf.float32)])(tf.ones(3))


def test_an_article_fits_its_word() -> None:
    with pytest.raises(interop.UnsupportedError, match=r"^an IndexedSlices of"):
        interop.to_numpy(tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0])))


def test_the_copy_of_a_recipe_is_the_planned_one() -> None:
    target = target_adapter("tensorflow")
    for a in (np.arange(6.0).reshape(2, 3), np.zeros((0, 2), "int8"), aligned([1, 2]), np.ones(1, "c8"), torch.ones(3)):
        by_plan = _convert(a, target, DEFAULT)
        for _ in range(3):
            made = interop.to_tensorflow(a)
            assert_identical(made, by_plan)
            assert not interop.shares_memory(made, a)
            assert not interop.shares_memory(interop.to_tensorflow(a, copy=True), a)


def test_what_is_readonly_is_taken_as_it_is_every_time() -> None:
    readonly = aligned([1, 2])
    readonly.flags.writeable = False
    # What is learned of memory that may be written, and copied, isn't applied to it.
    for a in (aligned([1, 2]), readonly, aligned([1, 2]), readonly):
        every: list[dict[str, Any]] = [{}, {"copy": False}, {"writable": False}]
        for chosen in every:
            shared = interop.shares_memory(a, _convert(a, target_adapter("tensorflow"), _options.parse(**chosen)))
            assert shared == (a is readonly or chosen.get("copy") is False)
            assert interop.shares_memory(a, interop.to_tensorflow(a, **chosen)) == shared
        assert not interop.shares_memory(a, interop.to_tensorflow(a, copy=True))


@pytest.mark.parametrize(
    "call",
    [
        interop.to_tensorflow,
        lambda a: interop.to_tensorflow(a, copy=False),
        lambda a: interop.to_tensorflow(torch.from_numpy(a)),
        lambda a: interop.to_numpy(tf.constant(a)),
        lambda a: interop.to_numpy(tf.constant(a), copy=False),
        lambda a: interop.to_torch(tf.constant(a)),
        lambda a: interop.view(tf.constant(a)),
    ],
)
def test_an_ordinary_array_isnt_planned_again(call: Any) -> None:
    a = aligned([1, 2, 3])
    for _ in range(2):
        call(a)
    assert not is_planned(lambda: call(a))


def test_unaligned_memory_never_reaches_it() -> None:
    """tf.experimental.dlpack takes it, and the first operation on it ends the process: IsAligned() fails."""
    memory = interop.empty_aligned(1024, "uint8")
    for offset in (4, 8, 16, 32):
        a = memory[offset : offset + 256].view("float32")
        a[:] = 1
        with pytest.raises(interop.CopyError, match="multiple of 64 bytes"):
            interop.to_tensorflow(a, copy=False)
        a.flags.writeable = False
        assert float(tf.reduce_sum(interop.to_tensorflow(a))) == 64


def test_what_is_written_after_the_call_is_not_seen() -> None:
    a = aligned([1, 2, 3])
    for source in (a, torch.from_numpy(a)):
        a[:] = 1, 2, 3
        x = interop.to_tensorflow(source)
        a[:] = 7
        assert x.numpy().tolist() == [1, 2, 3]
    lent = interop.to_tensorflow(a, copy=False)
    assert interop.view(lent).ptr == a.ctypes.data


def test_it_never_writes_into_memory_that_was_lent() -> None:
    """Its kernels reuse the memory of an input that nobody else holds."""
    a = aligned(np.arange(1000.0))
    a.flags.writeable = False
    assert interop.explain(a, "tensorflow").zero_copy

    tf.nn.relu(interop.to_tensorflow(a) + 1)
    tf.function(lambda x: tf.nn.relu(tf.exp(x * 0 + 1) * 2))(interop.to_tensorflow(a))
    tf.add(interop.to_tensorflow(a), 1)
    tf.negative(interop.to_tensorflow(a))
    assert a.tolist() == list(range(1000))


def test_constants_are_readonly() -> None:
    x = tf.constant([1.0, 2.0])
    a = interop.to_numpy(x)
    assert a.ctypes.data == interop.view(x).ptr
    assert not a.flags.writeable
    t = interop.to_torch(x)
    t.fill_(7)
    assert x.numpy().tolist() == [1, 2]
    # numpy's own asarray gives writable memory of this one.
    assert not interop.to_numpy(tf.constant([1, 2], tf.bfloat16)).flags.writeable


def test_a_variable_is_what_it_holds_now() -> None:
    v = tf.Variable([1.0, 2.0, 3.0])
    assert interop.to_tensorflow(v) is v
    a, t = interop.to_numpy(v), interop.to_torch(v)
    assert not a.flags.writeable
    v.assign_add([1.0, 1.0, 1.0])
    v.assign([9.0, 9.0, 9.0])
    assert a.tolist() == t.tolist() == [1, 2, 3]
    assert interop.to_numpy(v, dtype="int32").tolist() == [9, 9, 9]
    assert interop.to_numpy(v, copy=True).tolist() == [9, 9, 9]
    assert interop.dtype(v) == "float32"
    assert interop.explain(v, "numpy").ok


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "int4"])
def test_types_that_its_dlpack_lacks_cross_by_a_copy(name: str) -> None:
    a = np.array([1, 2, 3], getattr(ml_dtypes, name))
    x = interop.to_tensorflow(a)
    assert x.dtype.name == name
    back = interop.to_numpy(x)
    assert (back.dtype, back.tobytes()) == (a.dtype, a.tobytes())
    with pytest.raises(interop.CopyError):
        interop.to_tensorflow(a, copy=False)
    with pytest.raises(interop.CopyError):
        interop.to_numpy(x, copy=False)


def test_inside_tensorflow_the_tape_follows() -> None:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = interop.to_tensorflow(x, copy=True) * interop.to_tensorflow(x, dtype="float64", copy=True)[0].numpy()
    assert not interop.shares_memory(x, interop.to_tensorflow(x, copy=True))
    assert tape.gradient(y, x).numpy().tolist() == [1, 1]


def test_order() -> None:
    a = np.arange(6, dtype="float32").reshape(2, 3)
    assert interop.to_tensorflow(a.T).numpy().tolist() == a.T.tolist()
    with pytest.raises(interop.UnsupportedError, match="C order, always"):
        interop.to_tensorflow(a, order="F")


def test_naming_tensorflow_sets_no_device_up() -> None:
    code = """
    import tensorflow as tf, interop
    assert interop.adapters()["tensorflow"].installed
    assert interop.DType(tf.bfloat16) == "bfloat16"
    # Too late once its context is there.
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    assert len(tf.config.list_logical_devices("CPU")) == 2
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["float8_e5m2", "int4", "float4_e2m1fn", "float32"])
def test_every_element_type_can_be_compared(name: str) -> None:
    a = np.array([[1, 0, 1], [0, 1, 1]]).astype(getattr(ml_dtypes, name, name))
    assert_identical(interop.to_tensorflow(a), a)
    with pytest.raises(AssertionError, match="elements differ"):
        assert_identical(interop.to_tensorflow(a), a[::-1])


def test_a_variable_is_written_by_its_own_calls() -> None:
    x = tf.Variable([1.0, 2.0])
    with pytest.raises(interop.ReadOnlyError, match="Write by tensorflow's own calls"):
        interop.copyto(x, np.zeros(2, "float32"))
    x.assign(interop.to_tensorflow(np.array([3, 4], "float32")))
    assert x.numpy().tolist() == [3, 4]


def test_an_order_is_kept_by_a_cast() -> None:
    x = tf.reshape(tf.range(6), (2, 3))
    for dtype in ("float32", "int32", "float64"):
        a = interop.to_numpy(x, order="F", dtype=dtype)
        assert a.flags.f_contiguous
        assert a.tolist() == [[0, 1, 2], [3, 4, 5]]
    packed = tf.constant(np.ones((2, 3), ml_dtypes.int4))
    assert interop.to_torch(packed, dtype="bool", order="F").stride() == (1, 2)
    assert interop.to_numpy(packed, order="F").flags.f_contiguous


@pytest.mark.parametrize("dtype", ["int4", "float8_e4m3fn"])
def test_what_its_dlpack_lacks_is_no_way_round(dtype: str) -> None:
    """Its own cast would make what it can't export."""
    x = tf.constant([0, 1, 2])
    assert interop.explain(x, "numpy", dtype=dtype).ok
    assert interop.to_numpy(x, dtype=dtype).astype("int32").tolist() == [0, 1, 2]
    variable = tf.Variable(np.arange(3).astype(getattr(ml_dtypes, dtype)))
    assert interop.to_numpy(variable).astype("int32").tolist() == [0, 1, 2]


@pytest.mark.parametrize("source", ["float4_e2m1fn", "int4", "float8_e5m2"])
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "uint4"])
@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_a_cast_between_two_types_that_its_dlpack_lacks(source: str, dtype: str, target: str) -> None:
    x = tf.constant(np.arange(3).astype(np.float32).astype(getattr(ml_dtypes, source)))
    plan = interop.explain(x, target, dtype=dtype)
    assert plan.ok == (target == "numpy" or dtype != "uint4")
    if plan.ok:
        assert interop.to_numpy(interop.convert(x, target, dtype=dtype)).astype("int32").tolist() == [0, 1, 2]
