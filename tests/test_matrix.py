"""The measured matrix: the judge finds planted faults, what dies is found out, and what is kept is told apart."""

from __future__ import annotations

import ast
import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

import interop
from interop.cli._matrix import (
    cache,
    exceptions,
    hands,
    outcomes,
    promises,
    report,
    results,
    runner,
    second,
    verdict,
    ways,
    worker,
)
from interop.cli._matrix.cells import DTYPES, LAYOUTS, Cell, cells_of, values
from interop.cli._matrix.exceptions import Excused
from interop.cli._matrix.hands import ROWS, Hands, hands_of, installed
from interop.cli._matrix.hands._numpy import Numpy
from interop.cli._matrix.judge import Bench, Verdict, judge
from interop.cli._matrix.nursery import Nursery
from interop.cli._matrix.results import Found, Matrix, Pair
from interop.cli._matrix.second import is_sampled, look, objection
from interop.cli._matrix.second._kernel import Place
from interop.cli._matrix.second._readings import READINGS
from interop.cli._matrix.worker import Job, attempt
from interop.testing import fakes

HERE = {name for name in installed() if name in ("numpy", "torch")}
C, READONLY, NEGATIVE = Cell("float64", "c", False), Cell("float64", "c", True), Cell("float64", "negative", False)


class Frozen(Numpy):
    """A library that takes memory for constant."""

    constant = True


def bench(target: type[Hands] = Numpy, **allows: bool) -> Bench:
    # Two objects: the same would be one library with itself.
    return Bench(Numpy(), target(), **allows)


class Unreadable(np.ndarray[Any, Any]):
    def tobytes(self, *_: Any, **__: Any) -> bytes:
        raise MemoryError("18446744073709551604 bytes")


class Useless(np.ndarray[Any, Any]):
    def copy(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no kernel")


class Miscounting(np.ndarray[Any, Any]):
    def copy(self, *_: Any, **__: Any) -> Any:
        return np.asarray(self)[::-1].copy()


def on_memory(x: Any) -> Any:
    """An array on the memory of another one, which it doesn't keep alive."""
    memory = (ctypes.c_uint8 * x.nbytes).from_address(x.__array_interface__["data"][0])
    return np.frombuffer(memory, np.uint8).view(x.dtype).reshape(x.shape)


def shifted(x: Any) -> Any:
    memory = np.empty(x.nbytes + 8, np.uint8)
    memory[8:] = np.frombuffer(x.tobytes(), np.uint8)
    return memory


#: What a call does, on which cell, and what the judge has to find.
PLANTED = {
    "the array itself": (lambda x: x, C, "Z"),
    "a view": (lambda x: x[:], NEGATIVE, "Z"),
    "a copy": (lambda x: x.copy(), C, "C"),
    "a copy of readonly memory": (lambda x: x.copy(), READONLY, "C"),
    "a readonly view": (np.from_dlpack, READONLY, "Z"),
    "readonly memory as writable": (lambda x: np.from_dlpack(fakes.VersionedProducer(x, flags=0)), READONLY, "R"),
    "an error": (lambda x: x.nothing, C, "E"),
    "other values": (lambda x: x[::-1].copy(), C, "W"),
    "the sign of a zero": (lambda x: x + 0.0, C, "W"),
    "another shape": (lambda x: x.reshape(-1), C, "W"),
    "another element type": (lambda x: x.astype(np.float32), C, "D"),
    "a wider element type": (lambda x: x.astype(np.complex128), C, "D"),
    "the bits as another element type": (lambda x: x.view(np.int64), C, "W"),
    "no array": (lambda x: x.tolist(), C, "W"),
    "the stride's sign lost": (lambda x: np.from_dlpack(fakes.VersionedProducer(x, strides=(6, 1))), NEGATIVE, "W"),
    "what can't be read": (lambda x: x.view(Unreadable), C, "U"),
    "what can't be computed with": (lambda x: x.view(Useless), C, "U"),
    "what computes something else": (lambda x: x.view(Miscounting), C, "U"),
    "memory that nobody owns": (on_memory, C, "F"),
    "nothing, of no element": (lambda x: x, Cell("float64", "empty", False), "o"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value|overflow")
@pytest.mark.parametrize("what", PLANTED)
def test_the_judge_finds(what: str) -> None:
    call, cell, letter = PLANTED[what]
    with np.errstate(all="ignore"):
        found = judge(bench(), cell, call)
    assert found.outcome.letter == letter, found


def test_memory_that_is_taken_for_constant_may_not_be_writable_memory() -> None:
    assert judge(bench(Frozen), C, lambda x: x[:]).outcome is outcomes.UNSTABLE
    assert judge(bench(Frozen), C, lambda x: x.copy()).outcome is outcomes.COPY
    assert judge(bench(Frozen), READONLY, lambda x: x[:]).outcome is outcomes.VIEW
    assert judge(bench(Frozen, wanted=True), C, lambda x: x[:]).outcome is outcomes.VIEW


def test_a_promise_not_to_write_excuses_a_writable_alias() -> None:
    alias = PLANTED["readonly memory as writable"][0]
    assert judge(bench(promised=True), READONLY, alias).outcome is outcomes.VIEW


def test_the_judge_sees_a_copy_that_is_kept_up_to_date_by_nobody() -> None:
    found = judge(bench(), C, lambda x: x.copy())
    assert not found.aliased
    assert judge(bench(), C, lambda x: x.T.T).aliased


def test_judging_leaves_readonly_memory_as_it_was() -> None:
    kept: list[Any] = []

    def call(x: Any) -> Any:
        kept.append(x)
        return np.from_dlpack(fakes.VersionedProducer(x, flags=0))

    judge(bench(), READONLY, call)
    assert kept[0].tobytes() == values("float64", (4, 6)).tobytes()


def test_the_memory_of_a_reversed_array() -> None:
    array = np.arange(12, dtype="int16").reshape(3, 4)[::-1, ::2]
    memory = Numpy().memory(array)
    assert memory.bytes() == array.tobytes()
    low = array.__array_interface__["data"][0] - 2 * 4 * 2
    high = low + (2 * 4 + 2) * 2 + 2
    assert memory.extent == (low, high)
    assert memory.overlaps(memory)
    assert not memory.overlaps(replace(memory, ptr=high + 100))


@pytest.mark.parametrize("name", sorted(HERE))
def test_sources_are_what_they_are_said_to_be(name: str) -> None:
    hands = hands_of(name)
    for cell in cells_of(hands):
        x = hands.make(cell)
        assert hands.read(x) == hands.expected(cell)
        assert hands.readonly(x) == cell.readonly
        memory = hands.memory(x)
        if memory is not None and cell.layout not in ("neg", "conj", "byteorder"):
            assert memory.bytes() == hands.read(x).data


@pytest.mark.parametrize("name", sorted(HERE))
@pytest.mark.parametrize(
    "layout", ["c", "1d", "fortran", "transposed", "stepped", "negative", "ones", "0d", "empty", "field"]
)
def test_where_memory_begins_is_no_luck(name: str, layout: str) -> None:
    """jax and tensorflow take memory at multiples of 64 bytes as it is, and allocations are at such by chance."""
    hands = hands_of(name)
    if layout not in hands.layouts:
        return
    for dtype in ("int8", "bfloat16", "complex128"):
        cell = Cell(dtype, layout, False)
        made = [hands.make(cell) for _ in range(20)]
        begins = {where(hands, x) % 64 for x in made}
        assert len(begins) == 1
        # torch's begins at the second element of its memory.
        assert begins == {0} or (name, layout) == ("torch", "stepped")
        assert all(hands.read(x) == hands.expected(cell) for x in made)
    assert {where(hands, hands.make(Cell("int8", "offset", False))) % 64 for _ in range(20)}.isdisjoint({0})


def where(hands: Hands, x: Any) -> int:
    memory = hands.memory(x)
    assert memory is not None
    return memory.ptr


def test_values_tell_a_cast_from_a_copy() -> None:
    with np.errstate(all="ignore"):
        assert not np.array_equal(
            values("float64", (24,)).astype("float32").astype("float64"), values("float64", (24,))
        )
        assert not np.array_equal(values("int64", (24,)).astype("int32"), values("int64", (24,)))
    assert values("complex32", (3,)).tobytes() != bytes(12)
    assert values("float32", ()).shape == ()
    assert values("bool", (24,)).view("u1").max() == 1


def test_both_sides_are_imported_in_an_order_in_which_they_load(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []

    def imports(name: str) -> Any:
        imported.append(name)
        return name

    monkeypatch.setattr(hands, "hands_of", imports)
    pairs: list[tuple[Any, Any]]
    pairs = [("tensorflow", "paddle"), ("paddle", "dpnp"), ("torch", "numpy"), ("torch", "torch")]
    assert [hands.hands_of_pair(*pair) for pair in pairs] == pairs
    assert imported == ["paddle", "tensorflow", "dpnp", "paddle", "torch", "numpy", "torch"]


def test_tables_agree() -> None:
    assert set(ways.BY_HAND) == {row.name for row in ROWS.values() if row.is_target}
    assert len(set(DTYPES)) == len(DTYPES)
    for name in HERE:
        assert set(hands_of(name).layouts) <= set(LAYOUTS)
    assert set(ways.names_for("numpy")) == {"np"}


# The second judge.


@pytest.mark.skipif(not second.CAN_ASK, reason="no /proc/self/mem to ask the kernel by")
@pytest.mark.filterwarnings("ignore:invalid value|overflow")
@pytest.mark.parametrize("what", PLANTED)
def test_the_second_judge_finds_the_same(what: str) -> None:
    call, cell, letter = PLANTED[what]
    if letter in "UF":
        return  # it knows nothing of these
    x = Numpy().make(cell)
    before = x.tobytes()
    with np.errstate(all="ignore"):
        found = look("numpy", "numpy", x, call)
    assert found is not None
    assert objection(found, letter) == ""
    for other in set("ZCEWo") - {letter}:
        same = {letter, other} in ({"D", "W"}, {"R", "Z"})
        assert bool(objection(found, other)) != same, other
    assert x.tobytes() == before


@pytest.mark.skipif(not second.CAN_ASK, reason="no /proc/self/mem to ask the kernel by")
def test_the_second_judge_tells_memory_that_is_partly_the_sources_and_none_at_all() -> None:
    base = np.ones(7)
    assert look("numpy", "numpy", base[:6], lambda _: base[1:]) == "memory that is partly the source's"
    assert look("numpy", "numpy", base[:6], lambda x: x) == "a view"

    class Elsewhere(np.ndarray[Any, Any]):
        @property
        def ctypes(self) -> Any:
            return type("Nowhere", (), {"data": 0x1000})

    assert look("numpy", "numpy", base, lambda x: x.view(Elsewhere)) == "an address at which nothing is mapped"


@pytest.mark.skipif(not second.CAN_ASK, reason="no /proc/self/mem to ask the kernel by")
@pytest.mark.parametrize("layout", ["c", "stepped", "negative", "broadcast", "field", "0d"])
def test_what_the_kernel_reads(layout: str) -> None:
    x = Numpy().make(Cell("float32", layout, False))
    place = Place(x.ctypes.data, x.shape, x.strides, x.itemsize)
    before = x.copy()
    assert b"".join(place.elements()) == before.tobytes()
    with place.inverted():
        assert x.tobytes() == bytes(byte ^ 0xFF for byte in before.tobytes())
    assert x.tobytes() == before.tobytes()


class Mistaken(Numpy):
    """Hands that take the memory of a copy for an array's own."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def memory(self, x: Any) -> Any:
        self.kept.append(x.copy())
        return super().memory(self.kept[-1])

    def poke(self, x: Any) -> bool:
        return False


@pytest.mark.skipif(not second.CAN_ASK, reason="no /proc/self/mem to ask the kernel by")
def test_where_the_judges_differ_the_cell_is_at_fault() -> None:
    pair = Pair("numpy", "numpy")
    run = runner.Run(Job("numpy", "numpy", ["float64"], ["c", "1d"]), pair)
    worker.work(run.job, run.take, Mistaken(), Mistaken())
    assert pair.looked >= len(pair.ways)
    faults = {(issue.dtype, issue.text) for issue in verdict.issues(pair) if "second judge" in issue.text}
    assert ("float64", "np.from_dlpack(x): the second judge finds a view") in faults
    assert Pair.from_json(pair.to_json()).looked == pair.looked


def test_the_second_judge_shares_nothing_with_the_first() -> None:
    folder = Path(second.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            ours = [name for name in names if name.startswith("interop")]
            assert all(name.startswith("interop.cli._matrix.second") for name in ours), path
    assert set(READINGS) == set(ROWS)


def test_each_way_of_each_pair_is_looked_at_and_what_would_end_the_process_is_not() -> None:
    if second.CAN_ASK:
        assert is_sampled(attempt=7 * 13, place=0, dtype="float32", letter="Z")
        assert sum(is_sampled(n, n % 13 + 1, "float32", "Z") for n in range(1100)) == 100
    assert not any(is_sampled(0, 0, "float32", letter) for letter in "XHUF")
    assert not any(is_sampled(0, 0, dtype, "Z") for dtype in ("int4", "uint2", "float4_e2m1fn", "float6_e3m2fn"))


# What our own calls promise.


def ours(way: ways.Way, outcome: outcomes.Outcome, plan_of: Any, **more: Any) -> tuple[str, ...]:
    plan = interop.explain(plan_of, "numpy", **dict(way.options))
    return promises.broken(way, C, Numpy(), plan, Verdict(outcome, **more))


def test_a_kept_promise_is_silent() -> None:
    array = np.ones(3)
    assert ours(ways.DEFAULT, outcomes.VIEW, array, aliased=True) == ()
    assert ours(ways.COPY, outcomes.COPY, array) == ()
    assert ours(ways.DEFAULT, outcomes.EMPTY, np.ones(0)) == ()


@pytest.mark.parametrize(
    ("way", "outcome", "more", "said"),
    [
        (ways.DEFAULT, outcomes.COPY, {}, "gives no reason"),
        (ways.DEFAULT, outcomes.COPY, {}, "explain foretold a view"),
        (ways.VIEW, outcomes.COPY, {}, "copy"),
        (ways.COPY, outcomes.VIEW, {"aliased": True}, "zero-copy"),
        (ways.DEFAULT, outcomes.WRONG, {}, "wrong"),
        (ways.DEFAULT, outcomes.CRASH, {}, "crash"),
        (ways.DEFAULT, outcomes.HANG, {}, "hang"),
        (ways.DEFAULT, outcomes.ERROR, {"error": KeyError("x")}, "no error of ours"),
        (ways.DEFAULT, outcomes.ERROR, {"error": interop.CopyError("x")}, "explain foretold no CopyError"),
        (ways.DEFAULT, outcomes.VIEW, {"aliased": True, "readonly": True}, "readonly, unlike the source"),
    ],
)
def test_a_broken_promise_is_named(way: ways.Way, outcome: outcomes.Outcome, more: Any, said: str) -> None:
    assert any(said in text for text in ours(way, outcome, np.ones(3), **more))


def test_an_error_of_another_type_than_foretold_is_named() -> None:
    plan = interop.explain(np.ones(3)[::2], "numpy", order="C", copy=False)
    assert isinstance(plan.error, interop.CopyError)
    found = promises.broken(ways.VIEW, C, Numpy(), plan, Verdict(outcomes.ERROR, error=interop.DTypeError("x")))
    assert found == ("explain foretold CopyError, and it is DTypeError",)


def test_the_reason_of_a_refusal_is_without_the_cell() -> None:
    plan = interop.explain(np.ones(3)[::2], "numpy", order="C", copy=False)
    verdict_ = Verdict(outcomes.ERROR, error=plan.error)
    assert promises.reason(plan, verdict_).startswith("CopyError: a copy is needed, which copy=False forbids")
    error = interop.CopyError(
        "can't hand a tensor, bool (2,) on cpu to dpnp with device='oneapi:0', copy=False: no. Or."
    )
    assert promises.reason(plan, Verdict(outcomes.ERROR, error=error)) == "CopyError: no"


def test_an_attempt_of_ours_says_all_there_is() -> None:
    way = ways.ways_for("numpy")[0]
    said = attempt(bench(), way, C, way.compiled("numpy", {}))
    assert said == {"o": "Z", "why": "", "broken": [], "sure": True}


# What dies.


def test_a_child_that_dies_is_told_from_one_that_answers() -> None:
    def tried(way: int, cell: int) -> dict[str, Any]:
        if way:
            os.kill(os.getpid(), signal.SIGKILL)  # quietly, unlike an abort
        return {"o": "Z", "why": f"cell {cell}"}

    nursery = Nursery(tried)
    assert nursery.try_it(0, 7, 20.0) == {"o": "Z", "why": "cell 7"}
    assert nursery.try_it(1, 7, 20.0) == {"o": "X", "why": "SIGKILL"}
    assert nursery.try_it(0, 8, 20.0)["why"] == "cell 8"


class Hanging:
    """What numpy would be if one of its functions took a lock that nobody releases."""

    from_dlpack = staticmethod(np.from_dlpack)

    @staticmethod
    def asarray(x: Any) -> Any:
        if x.ndim == 1:
            signal.pause()
        return np.asarray(x)


def test_a_call_that_never_ends_is_given_up_in_every_cell_and_the_rest_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What hangs waits for it, and what does not has it: also where the machine is busy.
    monkeypatch.setattr(worker, "IMPATIENCE", 3.0)
    monkeypatch.setattr(worker, "names_for", lambda _: {"np": Hanging})
    hands = hands_of("numpy")
    cells = [("float32", "c", False), ("float32", "1d", False), ("int8", "1d", False)]
    events: list[dict[str, Any]] = []
    worker.work(Job("numpy", "numpy", cells=cells, hangs=["np.asarray(x)"]), events.append, hands, hands)
    found = [event["o"] for event in events if "k" in event]
    assert found[-2 * len(cells) :] == ["Z", "H", "H", "Z", "Z", "Z"]


#: A worker of two ways and two cells that dies as it is told.
WORKER = """
import json, os, sys
job = json.loads(sys.argv[1])
def say(**event):
    print(json.dumps(event), flush=True)
cells = [["float32", "c", False], ["float32", "1d", False]]
if not job["cells"]:
    say(ways=["interop", "np.asarray(x)"], cells=cells, possible=[True, False])
assert job["cells"] in ([], cells)
for k in range(job["start"], 4):
    say(at=k)
    if k == DIES and not job["suspects"]:
        HOW
    assert k != DIES or job["hangs"] == HANGS
    say(k=k, o="E", why="")
say(done=True)
"""


def pair_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies: int, how: str) -> Pair:
    script = tmp_path / "worker.py"
    hangs = ["np.asarray(x)"] if "pause" in how else []
    code = WORKER.replace("DIES", str(dies)).replace("HOW", how).replace("HANGS", str(hangs))
    script.write_text(code, encoding="utf-8")
    monkeypatch.setattr(runner, "_WORKER", (sys.executable, str(script)))
    return runner.measure(Job("numpy", "torch"))


DYING = {
    "abort": ("print('terminate: what(): all wrong', file=sys.stderr, flush=True); os.abort()", "SIGABRT: terminate"),
    "exit": ("os._exit(3)", "exits with status 3"),
    "hang": ("import signal; signal.pause()", ""),
}


@pytest.mark.parametrize("how", DYING)
def test_who_killed_a_worker_is_found_and_the_rest_is_measured(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "hang":
        monkeypatch.setattr(worker, "PATIENCE", 3.0)
        monkeypatch.setattr(runner, "_MARGIN", 0.0)
    code, said = DYING[how]
    pair = pair_of(tmp_path, monkeypatch, 2, code)
    letters = {(way, *cell): found.letter for way, cells in pair.found.items() for cell, found in cells.items()}
    assert letters == {
        ("interop", "float32", "c"): "E",
        ("interop", "float32", "1d"): "N",
        ("np.asarray(x)", "float32", "c"): "H" if how == "hang" else "X",
        ("np.asarray(x)", "float32", "1d"): "N",
    }
    assert pair.found["np.asarray(x)"]["float32", "c"].why.startswith(said)
    assert pair.broken == []


@pytest.mark.parametrize("letter", ["X", "H"])
def test_a_crash_in_our_call_is_our_fault_and_so_is_one_in_a_child(
    letter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = pair_of(tmp_path, monkeypatch, 0, "os.abort()")
    assert [(issue.kind, issue.column) for issue in verdict.issues(pair)] == [("fault", "c")]
    run = runner.Run(Job("numpy", "torch"), Pair("numpy", "torch"))
    run.take({"ways": ["interop", "f(x)"], "cells": [["bool", "c", False]], "possible": [True]})
    run.take({"k": 1, "o": letter, "why": ""})
    assert run.pair.broken == []
    run.take({"k": 0, "o": letter, "why": ""})
    assert [broken.text for broken in run.pair.broken] == [outcomes.OUTCOMES[letter].word]


def test_a_worker_that_never_says_what_it_has_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "STARTING", 1.0)
    script = tmp_path / "worker.py"
    script.write_text("import signal; signal.pause()", encoding="utf-8")
    monkeypatch.setattr(runner, "_WORKER", (sys.executable, str(script)))
    with pytest.raises(runner.AbsentError, match="numpy to torch said nothing for 1 s"):
        runner.measure(Job("numpy", "torch"))


def test_a_framework_that_does_not_work_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "worker.py"
    script.write_text("import json; print(json.dumps({'absent': 'OSError: no driver'}))", encoding="utf-8")
    monkeypatch.setattr(runner, "_WORKER", (sys.executable, str(script)))
    events: list[runner.Event] = []
    runner.measure_all([Job("numpy", "torch")], 1, events.append)
    assert [(event.pair, event.why) for event in events] == [(None, "OSError: no driver")]


# Results, and what is kept of them.


def made(source: str = "numpy", target: str = "torch", *, ours: str = "Z", by_hand: str = "Z", why: str = "") -> Pair:
    cell = ("float32", "c")
    found: dict[str, dict[tuple[str, str], Found]]
    found = {"interop": {cell: Found(ours, why)}, "f(x)": {cell: Found(by_hand)}}
    return Pair(source, target, 0, list(found), ["c"], found)


def matrix(*pairs: Pair, version: str = "1") -> Matrix:
    found = Matrix([{"interop": "0", "python": "3", "machine": "m", "date": "d", "versions": {"numpy": version}}])
    for pair in pairs:
        found.add(pair)
    return found


def test_a_matrix_is_the_same_after_it_was_written_down(tmp_path: Path) -> None:
    pair = made(ours="E", why="no: such")
    pair.columns.append("c readonly")
    pair.found["interop"]["bool", "c readonly"] = Found("Z")
    pair.found["f(x)"]["bool", "c readonly"] = Found("R", "a 'quoted' \N{LATIN SMALL LETTER E WITH ACUTE}")
    pair.broken.append(results.Broken("interop", "bool", "c readonly", "text"))
    before = matrix(pair, made("torch"))
    before.absent["jax to numpy"] = "ImportError"
    before.dump(tmp_path / "matrix.json")
    after = results.load(tmp_path / "matrix.json")
    assert after.to_json() == before.to_json()
    assert after.pairs == before.pairs


def test_a_matrix_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="form 99"):
        Matrix.from_json({"form": 99})


def test_merging_keeps_the_first_of_each_pair_and_where_it_was_measured() -> None:
    one = matrix(made(), made("torch", "numpy"), version="1")
    two = matrix(made(ours="C"), made("jax", "numpy"), version="2")
    merged = results.merge([one, two])
    assert set(merged.pairs) == {("numpy", "torch"), ("torch", "numpy"), ("jax", "numpy")}
    assert merged.pairs["numpy", "torch"].found["interop"]["float32", "c"].letter == "Z"
    where = {key: merged.environments[pair.environment]["versions"]["numpy"] for key, pair in merged.pairs.items()}
    assert where == {("numpy", "torch"): "1", ("torch", "numpy"): "1", ("jax", "numpy"): "2"}


def test_an_environment_is_listed_once() -> None:
    merged = results.merge([matrix(made(), made("torch", "numpy")), matrix(made(), made("jax", "numpy"))])
    assert len(merged.environments) == 1
    assert [pair.environment for pair in merged.pairs.values()] == [0, 0, 0]


def test_an_environment_that_adds_nothing_is_not_listed() -> None:
    assert len(results.merge([matrix(made()), matrix(made())]).environments) == 1


def test_what_is_kept_is_found_again_and_only_under_its_key(tmp_path: Path) -> None:
    store = cache.Cache(tmp_path / "deep" / "folder")
    assert store.get("numpy", "torch", "key") is None
    store.put(made(), "key")
    assert store.get("numpy", "torch", "key") == made()
    assert store.get("numpy", "torch", "another key") is None
    assert [path.name for path in store.root.iterdir()] == ["numpy-torch.json"]
    (store.root / "numpy-torch.json").write_text("{", encoding="utf-8")
    assert store.get("numpy", "torch", "key") is None


def test_the_key_depends_on_versions_source_and_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    def key(*cells: Any) -> str:
        return cache.key("numpy", "torch", *(cells or (None, None)))

    first = key()
    assert key() == first
    assert key(["float32"], None) != first
    monkeypatch.setattr(cache, "version", lambda name: "0.0.0")
    other = key()
    assert other != first
    monkeypatch.setattr(cache, "source_hash", lambda: "another")
    assert key() not in (first, other)


def test_the_hash_sees_every_source_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "interop"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/deep.py", "inner/core.so", "notes.txt"):
        (package / name).write_text("1", encoding="utf-8")
    monkeypatch.setattr(interop, "__file__", str(package / "__init__.py"))
    seen = {cache.source_hash.__wrapped__()}
    for name in ("__init__.py", "inner/deep.py", "inner/core.so"):
        (package / name).write_text("2", encoding="utf-8")
        seen.add(cache.source_hash.__wrapped__())
    assert len(seen) == 4
    (package / "notes.txt").write_text("2", encoding="utf-8")
    assert cache.source_hash.__wrapped__() in seen


# Whether we are as good as by hand.


@pytest.mark.parametrize(
    ("ours", "by_hand", "kinds"),
    [
        ("Z", "Z", []),
        ("C", "Z", ["copies"]),
        ("C", "R", []),
        ("C", "S", []),
        ("C", "W", []),
        ("E", "E", ["refuses"]),
        ("E", "Z", ["refuses"]),
        ("N", "N", []),
        ("N", "C", ["refuses"]),
        ("N", "D", []),
        ("Z", "X", []),
        ("Z", "H", []),
    ],
)
def test_what_counts_as_worse_than_by_hand(ours: str, by_hand: str, kinds: list[str]) -> None:
    assert [issue.kind for issue in verdict.issues(made(ours=ours, by_hand=by_hand))] == kinds


def test_an_exception_covers_its_cells_and_no_others() -> None:
    excused = Excused("copies", "numpy", "torch,jax", "float*", "c,*readonly", "because")
    found = matrix(made(ours="C"), made("mlx", ours="C"))
    counted = verdict.account(found, [excused])
    assert [issue.source for issue in counted.open] == ["mlx"]
    assert [issue.source for issue in counted.excused[excused]] == ["numpy"]
    assert counted.stale == []


def test_an_exception_for_nothing_is_stale_where_its_pair_was_measured() -> None:
    useless = Excused("copies", "numpy", "torch", "*", "*", "because")
    elsewhere = replace(useless, sources="paddle")
    assert verdict.account(matrix(made()), [useless, elsewhere]).stale == [useless]


def test_every_exception_says_why() -> None:
    for each in exceptions.EXCEPTIONS:
        assert each.kind in (verdict.COPIES, verdict.REFUSES)
        assert each.reason.endswith("."), each
        assert len(each.reason) > 30, each


def test_the_best_by_hand_is_the_best() -> None:
    pair = made(by_hand="X")
    pair.ways.append("g(x)")
    pair.found["g(x)"] = {("float32", "c"): Found("C")}
    assert verdict.best_by_hand(pair, ("float32", "c")) == "C"
    assert set(verdict._BEST) == set(outcomes.OUTCOMES)


def test_the_page_has_both_columns_and_no_bar_breaks_it() -> None:
    pair = made(ours="C", by_hand="W", why="a | b such as (-6, 1)")
    page = report.markdown(matrix(pair))
    assert "| **wrong** | other values, another shape or no array of the target, without a word | 1 | 1 | 0 |" in page
    assert "a \\| b such as these" in page
    assert "| `f(x)` | numpy | wrong | c | float32 | 1 |" in page


# The command.


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "interop", "matrix", "--cache", str(cwd / "kept"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, timeout=PATIENCE)


SMALL = ("--dtypes", "float32,bfloat16,bool,complex64", "--layouts", "c,negative,unaligned,0d,empty,neg")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    for name in ("rich", "matplotlib"):
        pytest.importorskip(name)
    cwd = tmp_path_factory.mktemp("matrix")
    return cwd, run("--only", ",".join(sorted(HERE)), *SMALL, "--json", "--out", "out", cwd=cwd)


def test_a_small_matrix_has_no_bad_cell(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    done = small[1]
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    found = Matrix.from_json(json.loads(done.stdout))
    assert found.absent == {}
    assert set(found.pairs) == {(source, target) for source in HERE for target in HERE}
    counted = verdict.count(found.pairs.values(), ours=True)
    assert not counted.keys() & outcomes.BAD
    assert counted["Z"] > 20


def test_it_writes_the_data_the_page_and_the_pictures(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    image = pytest.importorskip("PIL.Image")
    out = small[0] / "out"
    assert results.load(out / "matrix.json").to_json() == json.loads(small[1].stdout)
    assert (out / "matrix.md").read_text(encoding="utf-8").startswith(f"{len(HERE) ** 2} pairs, ")
    for name in ("matrix-pairs.png", "matrix-dtypes.png"):
        with image.open(out / name) as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_a_second_run_measures_nothing(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    cwd, first = small
    before = {path: path.stat().st_mtime_ns for path in (cwd / "kept").iterdir()}
    again = run("--only", ",".join(sorted(HERE)), *SMALL, "--json", cwd=cwd)
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (cwd / "kept").iterdir()} == before


def test_merging_by_the_command(small: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    done = run("--merge", "out/matrix.json", "out/matrix.json", "--json", cwd=small[0])
    assert done.returncode == 0
    assert json.loads(done.stdout)["pairs"] == json.loads(small[1].stdout)["pairs"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "nunpy"), "no kind of array nunpy"),
        (("--dtypes", "float33"), "no element type float33"),
        (("--layouts", "sideways"), "no layout sideways"),
        (("--merge", "nothing.json"), "nothing.json"),
        (("--merge", "half.json"), "half.json holds no matrix"),
        (("--merge", "other.json"), "other.json holds no matrix"),
        (("--merge", "list.json"), "list.json holds no matrix"),
    ],
)
def test_what_it_can_not_do_is_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    for name, text in (("half.json", '{"form": 1,'), ("other.json", '{"form": 1}'), ("list.json", "[]")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


# The documentation.

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def measured() -> Matrix:
    return results.load(DOCS / "measured" / "matrix.json")


def test_through_interop_nothing_bad_was_measured(measured: Matrix) -> None:
    counted = verdict.count(measured.pairs.values(), ours=True)
    assert {letter: counted[letter] for letter in outcomes.BAD if counted[letter]} == {}
    assert [broken for pair in measured.pairs.values() for broken in pair.broken] == []


def test_where_by_hand_does_more_is_excused_and_no_excuse_is_stale(measured: Matrix) -> None:
    found = verdict.account(measured)
    assert list(report.grouped(found.open)) == []
    assert found.stale == []


def test_the_page_is_what_was_measured(measured: Matrix) -> None:
    assert (DOCS / "measured" / "matrix.md").read_text(encoding="utf-8") == report.markdown(measured)


def test_the_readme_says_what_was_measured(measured: Matrix) -> None:
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert report.in_readme(text, measured) == text
    assert text.count(report.plain(measured)) == 1


def test_the_readme_table_of_a_matrix() -> None:
    pair = made("numpy", "jax", ours="C")
    pair.ways[1:1] = ["interop copy=False", "interop copy=False, writable=False", "interop copy=True"]
    for way in pair.ours[1:]:
        pair.found[way] = {("float32", "c"): Found("Z" if "copy=False" in way else "C")}
    assert report.plain(matrix(pair)).splitlines()[2:] == ["| numpy | copy ¹ |", "| jax |  |"]
    readme = f"{report._START}{report._END}"
    assert "what is blank" in report.in_readme(readme, matrix(pair))
    pair.source = "jax"
    assert "what is blank" not in report.in_readme(readme, matrix(pair))


def test_a_reason_that_was_cut_off_is_no_reason_of_its_own() -> None:
    whole = ["the target can't hold it", "x" * 140]
    cut = "; ".join(whole)[: runner.LONGEST]
    assert report._whole(cut) == whole[:1]
    assert report._whole("; ".join(whole[:1])) == whole[:1]
    assert report._general("jax wants the address to be a multiple of 64 bytes").endswith("64 bytes")
    assert report._general("mlx has no element type torch.float4_e2m1fn_x2") == "mlx has no such element type"
    refused = "can't hand a numpy tensor, int4 (24,) on cpu, strides (1,) to dpnp with device='oneapi:0': dpnp"
    assert (
        report._general(f"DTypeError: {refused} has no element type int4")
        == "DTypeError: dpnp has no such element type"
    )
