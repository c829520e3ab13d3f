"""Laws of pack and unpack: what arrives is what was sent, on the memory that arrived, whatever was in the tree."""

from __future__ import annotations

import copy
import json
import math
import mmap
import shutil
import struct
import subprocess
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop.errors import NotInstalledError
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays, torch_tensors

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

# Not "neg": torch itself negates zero to +0 or to -0, so that bits can't be compared.
tensors = st.one_of(numpy_arrays(), torch_tensors(flavours=["plain", "conj"]))
numbers = st.one_of(st.integers(), st.floats(), st.complex_numbers(), st.integers(-(10**30), 10**30))
texts = st.text(st.sampled_from('aé\n☃\ud800"\\\x00'), max_size=5)
keys = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    dicts = st.dictionaries(keys, inner, max_size=3)
    return st.one_of(st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), dicts, dicts.map(OrderedDict))


trees = st.recursive(st.one_of(tensors, numbers, texts, st.none(), st.booleans()), containers, max_leaves=6)


def whole(buffers: list[memoryview]) -> list[memoryview]:
    return buffers


def in_bytes(buffers: list[memoryview]) -> list[bytes]:
    return [bytes(buffer) for buffer in buffers]


def in_bytearrays(buffers: list[memoryview]) -> list[bytearray]:
    return [bytearray(buffer) for buffer in buffers]


def misaligned(buffers: list[memoryview]) -> list[memoryview]:
    return [memoryview(b"x" + bytes(buffer))[1:] for buffer in buffers]


ARRIVALS: dict[str, Callable[[list[memoryview]], list[Any]]] = {
    "itself": whole,
    "bytes": in_bytes,
    "bytearray": in_bytearrays,
    "misaligned": misaligned,
}


def assert_same(sent: Any, got: Any) -> None:
    if isinstance(sent, torch.Tensor | np.ndarray):
        assert type(got) is type(sent)
        native = sent.astype(sent.dtype.newbyteorder("=")) if isinstance(sent, np.ndarray) else sent
        assert_identical(got, native)
        return
    assert type(got) is type(sent)
    if isinstance(sent, dict):
        assert [(type(key), repr(key)) for key in got] == [(type(key), repr(key)) for key in sent]
        assert_same(list(sent.values()), list(got.values()))
    elif isinstance(sent, list | tuple):
        assert len(sent) == len(got)
        for one, other in zip(sent, got, strict=True):
            assert_same(one, other)
    elif isinstance(sent, float | complex):
        parts = (sent.real, sent.imag, got.real, got.imag)
        bits = [struct.pack("<d", part) for part in parts]
        assert bits[:2] == bits[2:]
    else:
        assert sent == got


@pytest.mark.parametrize("arrival", ARRIVALS)
@given(tree=trees)
def test_what_arrives_is_what_was_sent(arrival: str, tree: Any) -> None:
    header, buffers = interop.pack(tree)
    assert_same(tree, interop.unpack(header, ARRIVALS[arrival](buffers)))


@given(tree=trees)
def test_a_block_holds_it_all_on_multiples_of_64(tree: Any) -> None:
    header, buffers = interop.pack(tree)
    block = interop.join(header, buffers)
    start = interop.view(block).ptr
    assert start % 64 == len(block) % 64 == 0
    found, parts = interop.split(block)
    assert bytes(found) == header
    assert all((interop.view(part).ptr - start) % 64 == 0 for part in parts if len(part))
    assert_same(tree, interop.unpack(found, parts))


@given(x=tensors)
def test_what_is_dense_is_not_copied_on_either_side(x: Any) -> None:
    view = interop.view(x) if not (isinstance(x, torch.Tensor) and x.is_conj()) and native(x) else None
    header, buffers = interop.pack(x)
    assert len(buffers) == 1
    assert buffers[0].nbytes == math.prod(x.shape) * interop.dtype(x).itemsize
    dense = view is not None and view.extent[1] - view.extent[0] == view.nbytes and 0 not in view.strides
    if view is not None and view.size and dense and (view.contiguous or view.nbytes <= view.itemsize):
        got = interop.unpack(header, buffers)
        assert interop.view(buffers[0]).ptr == view.ptr
        readonly_to_torch = isinstance(x, torch.Tensor) and buffers[0].readonly
        assert readonly_to_torch or interop.shares_memory(x, got) == (view.ptr % view.itemsize == 0)


def native(x: Any) -> bool:
    return not isinstance(x, np.ndarray) or (x.dtype.isnative and all(step % x.itemsize == 0 for step in x.strides))


def test_a_permuted_tensor_stays_permuted() -> None:
    t = torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1)
    header, buffers = interop.pack(t)
    assert interop.view(buffers[0]).ptr == t.data_ptr()
    got = interop.unpack(header, in_bytearrays(buffers))
    assert got.stride() == t.stride()
    assert torch.equal(got, t)


@pytest.mark.parametrize(
    "x",
    [
        torch.ones(1).expand(10, 10),
        torch.ones(1000)[::10],
        np.ones(1000, "f4")[::-10],
        np.lib.stride_tricks.sliding_window_view(np.arange(13.0, dtype="f4"), 4),
    ],
)
def test_other_layouts_take_the_bytes_of_their_elements(x: Any) -> None:
    header, buffers = interop.pack(x)
    assert buffers[0].nbytes == 4 * math.prod(x.shape)
    assert_same(x, interop.unpack(header, in_bytes(buffers)))


def test_a_negative_bit_is_resolved() -> None:
    z = torch.tensor([1 + 2j, 3 - 4j])
    header, buffers = interop.pack([z.conj().imag, z.conj()])
    got = interop.unpack(header, in_bytes(buffers), "numpy")
    assert got[0].tolist() == [-2, 4]
    assert got[1].tolist() == [1 - 2j, 3 + 4j]


def test_numpy_scalars_are_tensors_and_python_numbers_are_not() -> None:
    got = interop.unpack(*interop.pack([np.float64(1.5), 1.5, np.bool_(True), True, -0.0, float("-inf")]))
    assert isinstance(got[0], np.ndarray)
    assert got[0].shape == ()
    assert got[1] == 1.5
    assert [type(each) for each in got[2:]] == [np.ndarray, bool, float, float]
    assert math.copysign(1, got[4]) == -1


# Ties.


def tied_on(buffers: list[memoryview], sent: list[Any], how: str, to: str | None, **options: Any) -> list[Any]:
    header, _ = interop.pack(sent)
    got: list[Any] = interop.unpack(header, ARRIVALS[how](buffers), to, **options)
    return got


@pytest.mark.parametrize("arrival", ARRIVALS)
@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_tied_leaves_are_one_buffer_and_stay_tied(arrival: str, to: str) -> None:
    base = torch.arange(12.0)
    sent = [base, base.view(3, 4).T, base[4:8], base]
    header, buffers = interop.pack(sent)
    assert [buffer.nbytes for buffer in buffers] == [48]
    got = interop.unpack(header, ARRIVALS[arrival](buffers), to)
    assert got[0] is got[3]
    assert interop.shares_memory(got[0], got[1])
    assert interop.shares_memory(got[0], got[2])
    for one, other in zip(sent, got, strict=True):
        assert np.array_equal(np.asarray(other), one.numpy())


def test_a_row_and_a_column_stay_tied_and_far_slices_do_not() -> None:
    matrix = np.zeros((4, 4))
    assert len(interop.pack([matrix, matrix[0], matrix[:, 0], matrix[::-1]])[1]) == 1
    # Two that overlap, and would be sent with thousandfold gaps.
    long = np.zeros(100_000, "u1")
    header, buffers = interop.pack([long[::1000], long[500::1000], long[:1]])
    assert sum(buffer.nbytes for buffer in buffers) < 1000
    assert_same([np.zeros(100, "u1"), np.zeros(100, "u1"), np.zeros(1, "u1")], interop.unpack(header, buffers))


def test_windows_and_broadcasts_are_copied_once() -> None:
    wide = torch.ones(1).expand(5, 5)
    header, buffers = interop.pack([wide, wide.expand(5, 5), torch.ones(2)])
    assert sorted(buffer.nbytes for buffer in buffers) == [8, 100]
    assert_same([torch.ones(5, 5), torch.ones(5, 5), torch.ones(2)], interop.unpack(header, in_bytearrays(buffers)))


def test_a_container_that_is_there_twice_is_sent_once() -> None:
    shared = {"w": torch.ones(2)}
    tree = {"a": shared, "b": [shared, (), ()]}
    got = interop.unpack(*interop.pack(tree))
    assert got["a"] is got["b"][0]
    # A graph of 60 levels, each of which holds the next one twice, has 2**60 paths.
    deep: Any = [torch.ones(1)]
    for _ in range(60):
        deep = [deep, deep]
    header, buffers = interop.pack(deep)
    assert len(header) < 2000
    got = interop.unpack(header, buffers)
    assert got[0][0] is got[1][1]


# Readonly, and what keeps the memory.


def test_readonly_is_what_arrives_so_or_was_sent_so() -> None:
    a = np.arange(3.0)
    fixed = np.arange(3.0)
    fixed.flags.writeable = False
    header, buffers = interop.pack([a, fixed])
    assert [buffer.readonly for buffer in buffers] == [False, True]
    assert [x.flags.writeable for x in interop.unpack(header, in_bytearrays(buffers))] == [True, False]
    assert [x.flags.writeable for x in interop.unpack(header, in_bytes(buffers))] == [False, False]
    assert [x.flags.writeable for x in interop.unpack(header, misaligned(buffers))] == [False, False]
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.unpack(header, in_bytes(buffers), "torch", copy=False)
    arrived = in_bytes(buffers)
    promised = interop.unpack(header, arrived, "torch", writable=False)
    assert interop.shares_memory(promised[0], arrived[0])
    assert not interop.shares_memory(interop.unpack(header, arrived, "torch")[0], arrived[0])


@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_arrays_hold_the_buffer_that_they_are_on(to: str) -> None:
    header, buffers = interop.pack({"a": np.arange(3.0)})
    arrived = in_bytearrays(buffers)
    got = interop.unpack(header, arrived, to)
    with pytest.raises(BufferError):
        arrived[0].clear()
    with mmap.mmap(-1, 4096) as memory:
        block = interop.join(header, buffers, into=memory)
        there = interop.unpack(*interop.split(memory), to)
        block.release()
        with pytest.raises(BufferError):
            memory.close()
        del there
    del got
    arrived[0].clear()


def test_the_buffers_keep_the_memory_that_was_sent() -> None:
    header, buffers = interop.pack(torch.full((1000,), 7.0))
    assert interop.unpack(header, buffers, "numpy").sum() == 7000


# What is refused.


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({"a": [1, {2}]}, 'tree["a"][1]'),
        ({"a": b"x"}, 'tree["a"]'),
        ([bytearray(b"x")], "tree[0]"),
        ({"k": object()}, 'tree["k"]'),
        ({(1, 2): 3}, "(1, 2)"),
        ({"a": np.ma.masked_array([1.0])}, 'tree["a"]'),
        ({"a": [np.array(["x"])]}, 'tree["a"][0]'),
        ({"a": [torch.eye(2).to_sparse()]}, 'tree["a"][0]'),
        (dict.fromkeys, "tree"),
    ],
)
def test_what_a_header_has_no_place_for_is_refused_by_its_place(tree: Any, place: str) -> None:
    with pytest.raises(interop.UnsupportedError) as caught:
        interop.pack(tree)
    assert place.replace('"', "'") in str(caught.value).replace('"', "'")


def test_a_cycle_is_refused_by_its_place() -> None:
    ring: dict[str, Any] = {"a": []}
    ring["a"].append(ring)
    with pytest.raises(interop.UnsupportedError, match="holds itself"):
        interop.pack(ring)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(interop.UnsupportedError, match="deep"):
        interop.pack(deep)


def test_a_gradient_is_cut_only_where_that_is_said() -> None:
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(interop.GradientError, match=r"tree.*'w'.*detach=True"):
        interop.pack({"w": w})
    header, buffers = interop.pack({"w": w}, detach=True)
    assert not interop.unpack(header, buffers)["w"].requires_grad
    assert json.loads(header[12:])["leaves"][0]["grad"] is True


def test_wrappers_are_refused_with_the_call_that_takes_their_elements() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(interop.UnsupportedError, match=r"interop\.to_numpy\(x\)"):
        interop.pack(pandas.Series([1.0]))


# Hostile headers.


def rehead(body: Any) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"TIPK\x01\x00\x00\x00" + struct.pack("<I", len(text)) + text


def refuses(header: Any, buffers: Any) -> str:
    with pytest.raises(interop.UnsupportedError) as caught:
        interop.unpack(header, buffers, "numpy")
    return str(caught.value)


GOOD, BUFFERS = interop.pack({"a": np.arange(6.0).reshape(2, 3), "b": [1, 2.5, None]})
BODY = json.loads(GOOD[12:])


def leaf(**changes: Any) -> bytes:
    return rehead(BODY | {"leaves": [BODY["leaves"][0] | changes]})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"dtype": "float65"}, "no element type"),
        ({"dtype": ["float64"]}, "no element type"),
        ({"shape": [2, 4]}, "larger than its buffer"),
        ({"shape": [2**40, 2**40, 0]}, "no memory"),
        ({"shape": [True, 6]}, "side"),
        ({"shape": [-1]}, "side"),
        ({"shape": [1.5]}, "side"),
        ({"shape": [1] * 65}, "no shape"),
        ({"offset": 8}, "beyond"),
        ({"offset": -8}, "offset"),
        ({"offset": 2**62}, "larger"),
        ({"buffer": 1}, "there are 1"),
        ({"buffer": -1}, "number of a buffer"),
        ({"strides": [0, 1]}, "stride of 0"),
        ({"strides": [4, 1]}, "beyond"),
        ({"strides": [-3, 1]}, "beyond"),
        ({"strides": [2**61, 1]}, "beyond"),
        ({"strides": [1]}, "don't fit"),
        ({"strides": "31"}, "don't fit"),
        ({"framework": None}, "no text"),
        ({"readonly": 1}, "flags"),
    ],
)
def test_a_leaf_that_can_not_be_is_refused(changes: dict[str, Any], says: str) -> None:
    assert says in refuses(leaf(**changes), BUFFERS)


@pytest.mark.parametrize(
    ("header", "buffers", "says"),
    [
        (b"", [], "0 bytes"),
        (None, [], "no bytes"),
        ("TIPK", [], "no bytes"),
        (b"TIPX" + GOOD[4:], BUFFERS, "TIPK"),
        (b"TIPK\x02" + GOOD[5:], BUFFERS, "version 2.0"),
        (GOOD[:-1], BUFFERS, "should have"),
        (GOOD + b" ", BUFFERS, "should have"),
        (rehead(b"{"), BUFFERS, "no JSON"),
        (rehead(b"\xff"), BUFFERS, "no JSON"),
        (rehead(b"[" * 100_000), BUFFERS, "no JSON"),
        (rehead([]), BUFFERS, "lacks"),
        (GOOD, None, "no list"),
        (GOOD, [], "0 came"),
        (GOOD, [b"short"], "has 5"),
        (GOOD, [bytes(49)], "has 49"),
        (GOOD, [None], "no bytes in a row"),
        (GOOD, [memoryview(bytes(96))[::2]], "no bytes in a row"),
        (rehead(BODY | {"tree": 1}), BUFFERS, "no leaf 1"),
        (rehead(BODY | {"tree": {"list": 0}}), BUFFERS, "no node"),
        (rehead(BODY | {"tree": {"set": []}}), BUFFERS, "no node"),
        (rehead(BODY | {"tree": {"list": [{"ref": 0}]}}), BUFFERS, "holds itself"),
        (rehead(BODY | {"tree": {"ref": 0}}), BUFFERS, "no container"),
        (rehead(BODY | {"tree": {"dict": [["a", 0], ["a", 0]]}}), BUFFERS, "twice"),
        (rehead(BODY | {"tree": {"dict": [[[], 0]]}}), BUFFERS, "no key"),
        (rehead(BODY | {"tree": {"int": "9" * 70_000}}), BUFFERS, "no integer"),
        (rehead(BODY | {"tree": {"int": "9" * 5000}}), BUFFERS, "no integer"),
        (rehead(BODY | {"tree": {"float": "zz"}}), BUFFERS, "no float"),
        (rehead(b'{"tree":{"float":1e999},"leaves":[],"buffers":[]}'), [], "no float"),
        (rehead(b'{"tree":{"float":NaN},"leaves":[],"buffers":[]}'), [], "NaN"),
    ],
)
def test_a_header_that_is_none_is_refused(header: Any, buffers: Any, says: str) -> None:
    assert says in refuses(header, buffers)


def test_a_tree_that_is_too_deep_is_refused() -> None:
    for levels in (300, 20_000):
        text = b'{"tree":' + b'{"list":[' * levels + b"0" + b"]}" * levels + b',"leaves":[],"buffers":[]}'
        refuses(rehead(text), [])


junk: st.SearchStrategy[Any] = st.sampled_from(
    [
        0,
        -1,
        2**31,
        2**63,
        2**64,
        10**400,
        1.5,
        True,
        None,
        "",
        "x",
        [],
        {},
        [[]],
        {"list": []},
        {"int": "9" * 5000},
        "numpy",
        "torch",
        {"tuple": [{"list": [1]}]},
        [2**40, 2**40],
        "\ud800",
        {"ref": 0},
        {"float": "7ff0"},
        [1, 1],
    ]
)


def spots(value: Any) -> list[tuple[Any, Any]]:
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value) if isinstance(value, list) else ())
    )
    return [spot for key, each in inner for spot in ((value, key), *spots(each))]


@given(data=st.data())
def test_no_header_whatever_gets_anything_but_a_tree_or_our_error(data: st.DataObject) -> None:
    base = torch.arange(12.0)
    header, buffers = interop.pack([base, base.view(3, 4).T, {"k": (1, 2.5, "x", None, np.arange(4))}])
    kind = data.draw(st.sampled_from(["bytes", "cut", "flipped", "changed", "buffers"]))
    if kind == "bytes":
        header = data.draw(st.binary(max_size=60))
    elif kind == "cut":
        header = header[: data.draw(st.integers(0, len(header)))]
    elif kind == "flipped":
        flipped = bytearray(header)
        for _ in range(3):
            flipped[data.draw(st.integers(0, len(flipped) - 1))] = data.draw(st.integers(0, 255))
        header = bytes(flipped)
    else:
        body = json.loads(header[12:])
        for _ in range(data.draw(st.integers(1, 3))):
            there = spots(body)
            if not there:
                break
            where, key = there[data.draw(st.integers(0, len(there) - 1))]
            if data.draw(st.booleans()):
                # Of its own: what is drawn is one object each time, and may be put into itself.
                where[key] = copy.deepcopy(data.draw(junk))
            else:
                del where[key]
        header = rehead(body)
    arrived = in_bytes(buffers)
    if kind == "buffers":
        arrived = [buffer[: data.draw(st.integers(0, len(buffer)))] for buffer in arrived]
    try:
        got = interop.unpack(header, arrived, "numpy")
    except interop.InteropError:
        return
    # Every element that can be reached lies in what arrived.
    for x in leaves_of(got):
        x.tobytes()
        assert x.nbytes <= max(len(buffer) for buffer in arrived)


def leaves_of(tree: Any) -> list[Any]:
    if isinstance(tree, np.ndarray):
        return [tree]
    members = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return [x for member in members for x in leaves_of(member)]


# The receiver.


ABSENT = """
import sys
import interop
header, buffers = interop.pack({"w": interop.empty_aligned(2, "float32")})
header = header.replace(b'"numpy"', b'"torch"')
got = interop.unpack(header, buffers)
assert type(got["w"]).__module__ == "numpy"
assert "torch" not in sys.modules
try:
    interop.unpack(header, buffers, absent="refuse")
except ImportError as error:
    assert "pip install torch" in str(error) and isinstance(error, interop.UnsupportedError), error
else:
    raise AssertionError
assert "torch" not in sys.modules
"""


def test_no_framework_is_imported_on_the_word_of_a_header() -> None:
    subprocess.run([sys.executable, "-c", ABSENT], check=True)


def test_a_framework_that_nobody_knows_arrives_as_numpy_or_is_refused() -> None:
    assert type(interop.unpack(leaf(framework="antigravity"), BUFFERS)["a"]) is np.ndarray
    with pytest.raises(NotInstalledError, match="antigravity"):
        interop.unpack(leaf(framework="antigravity"), BUFFERS, absent="refuse")
    assert "antigravity" not in sys.modules
    with pytest.raises(interop.UnsupportedError, match="absent="):
        interop.unpack(GOOD, BUFFERS, absent="zero")  # type: ignore[arg-type]


def test_options_are_those_of_convert() -> None:
    got = interop.unpack(GOOD, BUFFERS, "torch", dtype="float32", copy=True)
    assert got["a"].dtype == torch.float32
    assert not interop.shares_memory(got["a"], BUFFERS[0])
    fresh = interop.unpack(GOOD, BUFFERS, copy=True)
    assert not interop.shares_memory(fresh["a"], BUFFERS[0])


# Files.


def test_a_file_is_mapped_and_not_read(tmp_path: Path) -> None:
    tree = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(5, dtype=torch.bfloat16)}
    path = tmp_path / "tree.tipk"
    path.write_bytes(interop.join(*interop.pack(tree)))
    with path.open("rb") as file:
        there = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    got = interop.unpack(*interop.split(there), "torch", writable=False)
    assert all(interop.shares_memory(x, there) for x in got.values())
    assert torch.equal(got["w"], tree["w"])


def test_a_block_that_is_too_short_is_refused() -> None:
    block = interop.join(GOOD, BUFFERS)
    for size in (0, 5, 12, 100, len(block) - 64):
        with pytest.raises(interop.UnsupportedError):
            interop.split(block[:size])
    with pytest.raises(interop.UnsupportedError, match="bytes, writable, and"):
        interop.join(GOOD, BUFFERS, into=bytearray(10))
    with pytest.raises(interop.UnsupportedError, match="readonly"):
        interop.join(GOOD, BUFFERS, into=bytes(1000))
    # A longer one, of whole pages, is as good.
    assert np.array_equal(interop.unpack(*interop.split(bytes(block) + bytes(4096)))["a"], np.arange(6.0).reshape(2, 3))


READER = Path(__file__).parent.parent / "docs" / "packing.md"


def test_the_reader_in_javascript_reads_what_was_written(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    script = READER.read_text(encoding="utf-8").partition("```javascript\n")[2].partition("```")[0]
    assert script
    (tmp_path / "read.js").write_text(script)
    block = interop.join(*interop.pack({"w": np.arange(6, dtype="f4").reshape(2, 3), "n": 7, "x": np.ones(2, "i8")}))
    (tmp_path / "tree.tipk").write_bytes(block)
    done = subprocess.run([node, "read.js", "tree.tipk"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == "[2,3] 0,1,2,3,4,5"


# The bytes of a View.


@given(x=tensors)
def test_the_bytes_of_a_view_are_its_memory(x: Any) -> None:
    try:
        view = interop.view(x)
    except interop.InteropError:
        return
    if not view.contiguous:
        with pytest.raises(interop.CopyError, match="order='C'"):
            view.bytes  # noqa: B018 - a property that raises
        return
    data = view.bytes
    assert data.format == "B"
    assert data.nbytes == view.nbytes
    assert data.readonly == view.readonly
    assert not view.size or interop.view(data).ptr == view.ptr


def test_a_tree_of_ten_thousand_leaves_takes_no_copy() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = {f"layer.{n}": torch.full((3,), float(n)) for n in range(10_000)}
        header, buffers = interop.pack(tree)
        got = interop.unpack(header, buffers)
    assert len(buffers) == 10_000
    assert all(got[name].data_ptr() == tree[name].data_ptr() for name in tree)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system doesn't tell")
def test_a_gigabyte_is_sent_and_received_without_another_one() -> None:
    # Pages that nobody has touched: whoever copies them, or looks at them, has them for his own.
    sent = {"w": np.zeros((1 << 14, 1 << 14), "f4"), "b": torch.from_numpy(np.zeros(1 << 26, "f4"))}
    before = resident()
    header, buffers = interop.pack(sent)
    got = interop.unpack(header, buffers, "torch")
    assert sum(buffer.nbytes for buffer in buffers) > 1 << 30
    assert got["w"].shape == (1 << 14, 1 << 14)
    assert resident() - before < 1 << 26


def resident() -> int:
    """Bytes of memory that this process has in fact."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
