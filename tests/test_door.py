"""Every public function, with every argument and every value of it."""

from __future__ import annotations

import mmap
import pickle
import re
import sys
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import array_api_compat.torch
import ml_dtypes
import numpy as np
import pytest
import torch

import interop
from interop._registry.targets import target_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("to", ["numpy", np])
def test_a_target_is_a_name_or_a_module(to: Any) -> None:
    t = torch.ones(2)
    assert type(interop.convert(t, to)) is np.ndarray


def test_a_target_is_an_array_api_compat_namespace() -> None:
    assert isinstance(interop.convert(np.ones(2), array_api_compat.torch), torch.Tensor)
    assert isinstance(interop.convert(np.ones(2), torch), torch.Tensor)


@pytest.mark.parametrize(
    ("name", "framework"),
    [
        ("array_api_compat.torch", "torch"),
        ("array_api_compat.torch.linalg", "torch"),
        # As scikit-learn and scipy bring it; scipy is a framework that is known, and not the one that is meant.
        ("some.externals.array_api_compat.torch", "torch"),
        ("some.externals.array_api_compat.numpy.fft", "numpy"),
        ("scipy._lib.array_api_compat.torch", "torch"),
        ("array_api_compat.common.array_api_compat.numpy", "numpy"),
        ("torch.utils.dlpack", "torch"),
        ("torch.nn", "torch"),
    ],
)
def test_a_namespace_is_its_framework_wherever_its_module_lies(name: str, framework: str) -> None:
    module = types.ModuleType(name)
    # What the process has been seen to end by: torch's own, given a negative stride.
    module.from_dlpack = lambda _: pytest.fail("the framework has an adapter")  # type: ignore[attr-defined]
    for to in (name, module):
        assert target_adapter(to).name == framework
        made = interop.convert(np.arange(3)[::-1], to)
        assert interop.framework(made) == framework
        assert made.tolist() == [2, 1, 0]
        assert interop.explain(np.arange(3)[::-1], to).target == framework


@pytest.mark.parametrize("name", ["array_api_compat", "some.array_api_compat", "array_api_compat.common"])
def test_what_makes_namespaces_is_none_itself(name: str) -> None:
    module = types.ModuleType(name)
    module.from_dlpack = lambda _: pytest.fail("it is no namespace")  # type: ignore[attr-defined]
    for to in (name, module):
        for call in (interop.convert, interop.explain):
            with pytest.raises(interop.UnsupportedError, match=r"Pass one, such as '[a-z_.]*array_api_compat\.torch'"):
                call(np.ones(2), to)


@pytest.mark.parametrize(("to", "says"), [("nunpy", "numpy"), ("no_such_framework", "Known are"), (3, "its name")])
def test_an_unknown_target_is_refused(to: Any, says: str) -> None:
    for call in (interop.convert, interop.explain):
        with pytest.raises(interop.UnsupportedError, match=says) as caught:
            call(np.ones(2), to)
        if isinstance(to, str):
            assert isinstance(caught.value, ImportError)


def test_a_target_that_isnt_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from interop._registry import frameworks

    row = frameworks.Row("absent", "absent_framework", "nowhere:adapter", "absent-framework")
    monkeypatch.setattr(frameworks, "rows", lambda: {"absent": row})
    with pytest.raises(interop.UnsupportedError, match="pip install absent-framework") as caught:
        interop.convert(np.ones(2), "absent")
    assert isinstance(caught.value, ImportError)


def test_a_module_without_from_dlpack_is_no_target() -> None:
    with pytest.raises(interop.UnsupportedError, match="from_dlpack"):
        interop.convert(np.ones(2), types)


@pytest.mark.parametrize(
    "options",
    [
        {"copy": 1},
        {"copy": "yes"},
        {"order": "K"},
        {"order": "c"},
        {"writable": 0},
        {"detach": None},
        {"dtype": "float33"},
        {"dtype": object()},
        {"dtype": np.dtype("M8[s]")},
        {"device": "gpu"},
        {"device": object()},
        {"device": "cuda:x"},
    ],
    ids=" ".join,
)
def test_a_value_that_isnt_one_is_refused_by_name(options: dict[str, Any]) -> None:
    (value,) = options.values()
    for call in (interop.convert, interop.explain):
        with pytest.raises(interop.InteropError, match=re.escape(repr(value)[:20])):
            call(np.ones(2), "torch", **options)


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("f2"), torch.float16, interop.DType("float16")])
def test_a_dtype_is_spelled_in_any_way(dtype: Any) -> None:
    assert interop.to_torch(np.ones(2), dtype=dtype).dtype == torch.float16
    assert interop.to_numpy(torch.ones(2), dtype=dtype).dtype == np.float16
    assert interop.dtype(np.ones(2, "f2")).matches(dtype)


@pytest.mark.parametrize(
    ("python", "name"), [(float, "float64"), (int, "int64"), (bool, "bool"), (complex, "complex128")]
)
def test_pythons_types_mean_numpys(python: type, name: str) -> None:
    assert interop.DType(python) == name
    assert interop.to_torch(np.ones(2, "i1"), dtype=python).dtype == getattr(torch, name)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", (1, 0), torch.device("cpu"), interop.Device("cpu")])
def test_a_device_is_spelled_in_any_way(device: Any) -> None:
    a = np.ones(2)
    t = interop.to_torch(a, device=device)
    assert t.data_ptr() == a.ctypes.data
    assert interop.device(t).matches(device)


def test_devices_and_dtypes_are_values() -> None:
    assert str(interop.Device("cuda")) == "cuda:0"
    assert interop.Device((2, 1)) == "cuda:1"
    assert hash(interop.Device("cuda:1")) == hash("cuda:1")
    assert interop.Device("cuda:1").dlpack == (2, 1)
    assert (interop.Device("oneapi:2").type, interop.Device("oneapi:2").index) == ("oneapi", 2)
    assert str(interop.Device((99, 3))) == "device99:3"
    assert interop.Device(str(interop.Device((99, 3)))) == interop.Device((99, 3))
    assert interop.DType("bfloat16") == "bfloat16"
    assert hash(interop.DType("bfloat16")) == hash("bfloat16")
    assert interop.DType("float32") != np.float32
    assert interop.DType("float32").matches(np.float32)
    d = interop.DType(ml_dtypes.float8_e4m3fn)
    assert (d.code, d.bits, d.lanes, d.itemsize) == (10, 8, 1, 1)
    for value in (d, interop.Device("cuda:1"), interop.DType("int4")):
        assert pickle.loads(pickle.dumps(value)) is value


def test_device_names_the_call_that_moves() -> None:
    pytest.importorskip("cupy")
    with pytest.raises(interop.DeviceError, match=re.escape("interop.to_cupy(x, device='cuda:0')")):
        interop.to_cupy(np.ones(2))
    with pytest.raises(interop.DeviceError, match="numpy has no memory on cuda:0"):
        interop.to_numpy(np.ones(2), device="cuda")


@pytest.mark.parametrize("order", [None, "C", "F"])
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_order(order: Any, to: str) -> None:
    a = np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)
    for x in (a, torch.from_numpy(a)):
        result = interop.convert(x, to, order=order)
        flags = interop.to_numpy(result).flags
        assert flags.c_contiguous == (order == "C")
        assert flags.f_contiguous == (order == "F")
        assert interop.shares_memory(a, result) == (order is None)
    with pytest.raises(interop.CopyError, match="order='C'"):
        interop.convert(a, to, order="C", copy=False)
    already = np.ones((2, 2), order="F")
    assert interop.shares_memory(already, interop.convert(already, to, order="F", copy=False))


def test_copy_true_is_fresh_also_within_one_framework() -> None:
    for x in (np.arange(3.0), torch.arange(3.0)):
        fresh = interop.convert(x, interop.framework(x), copy=True)
        assert type(fresh) is type(x)
        assert not interop.shares_memory(x, fresh)


def test_zero_strides_are_made_dense_by_a_copy() -> None:
    a = np.broadcast_to(np.arange(3.0), (4, 3))
    t = interop.to_torch(a, copy=True)
    assert t.is_contiguous()
    assert interop.to_torch(torch.ones(1).expand(5), copy=True).stride() == (1,)


def test_readonly_memory_into_torch() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    t = interop.to_torch(a)
    t.fill_(9)
    assert a.tolist() == [0, 1, 2]
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_torch(a, copy=False)
    with pytest.raises(interop.ReadOnlyError, match="copy=False forbids"):
        interop.to_torch(a, copy=False, writable=True)
    promised = interop.to_torch(a, copy=False, writable=False)
    assert promised.data_ptr() == a.ctypes.data
    plan = interop.explain(a, "torch", writable=False)
    assert plan.zero_copy
    assert "promised not to write" in plan.cautions[0]


def test_readonly_is_kept_where_it_can_be_said() -> None:
    a = np.arange(3.0)
    a.flags.writeable = False
    assert interop.to_numpy(a) is a
    assert not interop.to_numpy(interop.view(a)).flags.writeable
    assert interop.view(a).readonly
    fresh = interop.to_numpy(a, writable=True)
    assert fresh.flags.writeable
    assert not interop.shares_memory(a, fresh)
    b = np.arange(3.0)
    restricted = interop.to_numpy(b, writable=False)
    assert not restricted.flags.writeable
    assert interop.shares_memory(b, restricted)
    assert b.flags.writeable
    assert not interop.to_numpy(torch.ones(2), writable=False).flags.writeable
    assert not interop.to_numpy(torch.ones(2), writable=False, copy=True).flags.writeable


def test_memory_maps_and_bytes_are_never_written(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(16)))
    mapped = np.memmap(path, "u1", mode="r")
    interop.to_torch(mapped).fill_(255)
    assert path.read_bytes() == bytes(range(16))
    with pytest.raises(interop.ReadOnlyError):
        interop.to_torch(mapped, copy=False)
    text = b"immutable"
    t = interop.to_torch(text)
    t.fill_(0)
    assert text == b"immutable"
    assert not interop.to_numpy(text).flags.writeable
    writable = bytearray(b"abc")
    interop.to_torch(writable).fill_(120)
    assert writable == b"xxx"
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as whole:
        view = interop.to_numpy(whole)
        view[0] = 7
        del view
    assert path.read_bytes()[0] == 7


def test_detach_is_false_or_true() -> None:
    p = torch.ones(2, requires_grad=True)
    assert interop.to_torch(p, detach=True).requires_grad is False
    assert interop.to_torch(p, detach=True).data_ptr() == p.data_ptr()
    assert interop.to_torch(p) is p
    a = interop.to_numpy(p, detach=True)
    a[0] = 5
    assert p[0].item() == 5


def test_no_grad_is_no_licence() -> None:
    p = torch.ones(2, requires_grad=True)
    for call in (interop.to_numpy, interop.view):
        for x in (p, p.detach().to(torch.bfloat16).requires_grad_()):
            with torch.no_grad(), pytest.raises(interop.GradientError):
                call(x)


def test_the_first_error_of_several_wins() -> None:
    pytest.importorskip("cupy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = torch.ones(2, 2, dtype=torch.complex32).T.requires_grad_()
    every: dict[str, Any] = {"copy": False, "order": "C"}
    with pytest.raises(interop.GradientError):
        interop.convert(t, "cupy", **every)
    with pytest.raises(interop.DeviceError):
        interop.convert(t, "cupy", detach=True, **every)
    with pytest.raises(interop.DTypeError):
        interop.convert(t, "numpy", detach=True, **every)
    a = np.broadcast_to(np.ones((2, 1), ">f4"), (2, 2))
    with pytest.raises(interop.ReadOnlyError):
        interop.to_torch(a, **every)
    with pytest.raises(interop.CopyError):
        interop.to_torch(a, writable=False, **every)


def test_convert_like() -> None:
    assert isinstance(interop.convert_like(np.ones(2), torch.ones(1)), torch.Tensor)
    scalar: Any = np.float32(1)
    assert type(interop.convert_like(torch.ones(2), scalar)) is np.ndarray
    a = interop.convert_like(torch.ones(2), np.ones(1), copy=True, dtype="int8")
    assert a.dtype == np.int8
    with pytest.raises(interop.UnsupportedError):
        interop.convert_like(np.ones(2), [1, 2])


def test_explain_moves_nothing_and_tells_everything() -> None:
    a = np.arange(6.0).reshape(2, 3)[::-1]
    plan = interop.explain(a, "torch", dtype="float32", order="F")
    assert plan
    assert (plan.source, plan.target, plan.ok, plan.error, plan.certain) == ("numpy", "torch", True, None, True)
    assert (plan.zero_copy, plan.copied_bytes, plan.transferred_bytes) == (False, 24, 0)
    assert [step.do for step in plan.steps] == ["cast", "export", "wrap"]
    assert len(plan.reasons) == 3
    text = str(plan)
    assert all(reason in text for reason in plan.reasons)
    failed = interop.explain(a, "torch", copy=False)
    assert not failed
    assert "CopyError" in str(failed)
    t = torch.ones(3, requires_grad=True)
    before = sys.getrefcount(t)
    for _ in range(3):
        assert isinstance(interop.explain(t, "numpy").error, interop.GradientError)
    assert sys.getrefcount(t) == before
    assert torch.ones(3).untyped_storage().resizable()
    u = torch.ones(3)
    assert interop.explain(u, "numpy").zero_copy
    assert u.untyped_storage().resizable()


def test_each_failed_plan_has_an_error_of_its_own() -> None:
    a = np.ones(2)[::-1]
    first, second = (interop.explain(a, "torch", copy=False).error for _ in range(2))
    assert first is not second
    with pytest.raises(interop.CopyError) as caught:
        interop.to_torch(a, copy=False)
    assert caught.value is not first


def test_framework_device_dtype() -> None:
    v = interop.view(np.ones(2))
    for x, name in (
        (np.ones(2), "numpy"),
        (torch.ones(2), "torch"),
        (np.float32(1), "numpy"),
        (v, "view"),
        (b"x", "bytes"),
    ):
        assert interop.framework(x) == name
        assert interop.device(x) == "cpu"
    assert interop.dtype(torch.ones(2).to(torch.float8_e5m2)) == "float8_e5m2"
    for call in (interop.framework, interop.device, interop.dtype):
        with pytest.raises(interop.UnsupportedError):
            call([1, 2])
    assert interop.dtype(torch.ones(2, requires_grad=True)) == "float32"


def test_shares_memory() -> None:
    a = np.arange(10.0)
    t = interop.to_torch(a)
    assert interop.shares_memory(a, t)
    assert interop.shares_memory(t[2:], a[:3])
    assert not interop.shares_memory(t[:5], a[5:])
    assert not interop.shares_memory(a[:0], a)
    assert interop.shares_memory(a[::-1], t[9:])
    assert not interop.shares_memory(a, a.copy())
    assert interop.shares_memory(a[::2], a[1::2])
    assert interop.shares_memory(interop.view(a), a.data)
    with pytest.raises(interop.UnsupportedError):
        interop.shares_memory(a, [1])


def test_view_of_everything() -> None:
    t = torch.arange(6.0).reshape(2, 3).T
    v = interop.view(t)
    assert (v.ptr, v.shape, v.strides) == (t.data_ptr(), (3, 2), (1, 3))
    assert (str(v.dtype), v.itemsize, v.ndim, v.size, v.nbytes) == ("float32", 4, 2, 6, 24)
    assert (str(v.device), v.readonly, v.contiguous, v.ordered) == ("cpu", False, False, True)
    assert v.extent == (t.data_ptr(), t.data_ptr() + 24)
    assert interop.view(v) is v
    assert interop.view(np.ones(3)[::-1]).strides == (-1,)
    with pytest.raises(interop.CopyError, match="other byte order"):
        interop.view(np.ones(2, ">f8"))
    assert interop.view(b"abc").readonly


def test_pickling_the_public_functions() -> None:
    for name in interop.__all__:
        value = getattr(interop, name)
        if callable(value):
            assert pickle.loads(pickle.dumps(value)) is value


def test_keywords_are_checked() -> None:
    calls: list[Any] = [interop.to_numpy, interop.to_torch, interop.to_cupy, interop.view]
    for call in calls:
        with pytest.raises(TypeError):
            call(np.ones(2), nonsense=1)
        with pytest.raises(TypeError):
            call()
        with pytest.raises(TypeError):
            call(np.ones(2), "cpu")


def test_adapters_lists_without_importing() -> None:
    from interop._registry import frameworks

    infos = interop.adapters()
    assert infos["numpy"].installed
    # An example of the docs may have registered one of its own before.
    assert {infos[row.name].origin for row in frameworks.ROWS} == {"built-in"}
    assert "torch" in infos
    assert "cupy" in infos


def test_an_array_api_module_without_an_adapter_is_a_target() -> None:
    class Array:
        def __init__(self, view: Any) -> None:
            # numpy before 2.1 would make it read-only, and then export it no more.
            self.array: Any = np.asarray(view)

        def __dlpack__(self, **keywords: Any) -> Any:
            return interop.view(self.array).__dlpack__(**keywords)

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    module = types.ModuleType("small_library")
    module.from_dlpack = Array  # type: ignore[attr-defined]
    Array.__module__ = "small_library"
    sys.modules["small_library"] = module
    try:
        t = torch.arange(6.0)
        made = interop.convert(t, module)
        assert isinstance(made, Array)
        assert made.array.ctypes.data == t.data_ptr()
        assert interop.to_torch(made).data_ptr() == t.data_ptr()
        assert interop.convert(made, "small_library") is made
        readonly = np.arange(3.0)
        readonly.flags.writeable = False
        copied = interop.convert(readonly, module)
        assert copied.array.tolist() == [0, 1, 2]
        assert not interop.shares_memory(copied, readonly)
        assert interop.convert(t, module, dtype="int8").array.dtype == np.int8
        assert interop.framework(made) == "small_library"
        with pytest.raises(interop.ReadOnlyError):
            interop.convert(readonly, module, copy=False)
    finally:
        del sys.modules["small_library"]
    assert target_adapter("numpy").name == "numpy"


@pytest.fixture
def unknown_library() -> Iterator[types.ModuleType]:
    """A module with ``from_dlpack`` that copies what it is handed and what it exports, and takes no negative stride."""

    class Array:
        def __init__(self, view: interop.View) -> None:
            assert min(view.strides, default=0) >= 0
            self.array = np.array(np.asarray(view))

        def __dlpack__(self, **keywords: Any) -> Any:
            return interop.view(self.array.copy()).__dlpack__(**keywords)

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    module = types.ModuleType("unknown_library")
    module.from_dlpack = Array  # type: ignore[attr-defined]
    Array.__module__ = "unknown_library"
    sys.modules["unknown_library"] = module
    yield module
    del sys.modules["unknown_library"]


def test_an_unknown_library_sees_no_negative_strides(unknown_library: types.ModuleType) -> None:
    for turned in (np.arange(6.0)[::-1], np.arange(6.0).reshape(2, 3)[:, ::-1]):
        plan = interop.explain(turned, unknown_library)
        assert plan.ok
        assert not plan.zero_copy
        assert plan.copied_bytes == turned.nbytes
        assert f"may not hold negative strides such as {interop.view(turned).strides}" in str(plan)
        assert interop.convert(turned, unknown_library).array.tolist() == turned.tolist()
        with pytest.raises(interop.CopyError, match="negative strides"):
            interop.convert(turned, unknown_library, copy=False)
    # They mean nothing here, so that nothing has to be copied.
    for meaningless in (np.arange(3.0)[:1][::-1], np.ones((0, 3))[::-1, ::-1]):
        assert interop.explain(meaningless, unknown_library).zero_copy
        assert interop.convert(meaningless, unknown_library).array.tolist() == meaningless.tolist()


def test_what_is_copied_for_an_unknown_library_is_there_before_it_takes_it(unknown_library: types.ModuleType) -> None:
    a = np.arange(4096.0)
    asked: tuple[dict[str, Any], ...] = ({"copy": True}, {"dtype": "float32"}, {"order": "F"})
    for options in asked:
        made = interop.convert(a.reshape(64, 64), unknown_library, **options)
        assert made.array.tolist() == a.reshape(64, 64).tolist()


@pytest.mark.parametrize("stream", [0, -2, True, "x", object(), 1.5])
def test_what_is_no_stream_is_refused(stream: Any) -> None:
    for call in (interop.to_torch, interop.view):
        with pytest.raises(interop.DeviceError, match=re.escape(repr(stream)[:20])):
            call(np.ones(2), stream=stream)


def test_streams_mean_nothing_to_host_memory() -> None:
    class Stream:
        def __cuda_stream__(self) -> tuple[int, int]:
            return (0, 0)

    a = np.ones(2)
    for stream in (-1, 1, 12345, Stream()):
        assert interop.to_torch(a, stream=stream).data_ptr() == a.ctypes.data
        assert interop.view(a, stream=stream).ptr == a.ctypes.data


def test_a_namespace_inside_a_package_isnt_the_framework_it_is_named_after() -> None:
    module = types.ModuleType("small_library.numpy")
    module.from_dlpack = lambda view: (_ for _ in ()).throw(BufferError("not today"))  # type: ignore[attr-defined]
    sys.modules["small_library.numpy"] = module
    try:
        with pytest.raises(interop.UnsupportedError, match="not today"):
            interop.convert(np.ones(2), module)
    finally:
        del sys.modules["small_library.numpy"]


def test_nothing_can_be_made_like_what_is_no_array() -> None:
    for ref in (b"x", interop.view(np.ones(1))):
        with pytest.raises(interop.UnsupportedError, match=r"interop\.to_numpy\(x\)\.$"):
            interop.convert_like(np.ones(2), ref)
