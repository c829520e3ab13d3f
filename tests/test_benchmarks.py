"""The benchmarks measure what they say: their tables agree, their arithmetic is right. No test looks at a time."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import interop
from benchmarks import __main__ as command
from benchmarks import budgets, chart, names, report, rows, timing
from benchmarks.agnostic_rows import AGNOSTIC_COMPARISONS
from benchmarks.budgets import Result, Verdict
from benchmarks.contest import contest
from benchmarks.device_rows import DEVICE_COMPARISONS
from benchmarks.framework_rows import FRAMEWORK_COMPARISONS
from benchmarks.imports import IMPORTS
from benchmarks.option_rows import OPTION_COMPARISONS
from benchmarks.rows import COMPARISONS, Comparison, Source, Way

#: What is promised: our call, the call beside it, and how many times as long it may take.
PROMISED = {
    ("to_numpy(t)", "t.numpy()", 1.15),
    ("to_numpy(t)", "np.from_dlpack(t)", 0.25),
    ("to_torch(a)", "torch.from_numpy(a)", 0.75),
    ("to_torch(a)", "torch.from_dlpack(a)", 0.33),
    ("view(t)", "tvm_ffi.from_dlpack(t)", 1.60),
    ("view(t)", "t.numpy()", 0.60),
    ("view(a)", "tvm_ffi.from_dlpack(a)", 0.20),
    ("to_numpy(t)", "t.view(torch.int16).numpy().view(bfloat16)", 1.00),
    ("to_torch(a)", "torch.from_numpy(a.view(np.int16)).view(torch.bfloat16)", 1.00),
    ("to_cupy(t)", "cupy.from_dlpack(t)", 0.30),
    ("to_torch(c)", "torch.from_dlpack(c)", 0.35),
    ("to_numpy(t, device='cpu')", "t.cpu().numpy()", 1.10),
    ("to_numpy(c, device='cpu')", "cupy.asnumpy(c)", 1.10),
}

#: Those in host memory, those with other frameworks, and those on a CUDA device.
ALL = (
    COMPARISONS
    + OPTION_COMPARISONS
    + AGNOSTIC_COMPARISONS
    + sum(FRAMEWORK_COMPARISONS.values(), ())
    + DEVICE_COMPARISONS
)

LIMITS = budgets.load()
UNLIMITED = budgets.Budgets(0.15, ratios={}, imports={}, memory={})
BRIEF = timing.Effort(seconds=0, calls=3)
ARRAY = Source("a", "an array", "np.ones(3)")


def with_ratio(limit: float) -> budgets.Budgets:
    return budgets.Budgets(0.15, ratios={"it": {"np.asarray(a)": limit}}, imports={}, memory={})


def test_every_promise_has_a_budget() -> None:
    by_name = {comparison.name: comparison for comparison in ALL}
    kept = {
        (by_name[name].ours.code, code, limit)
        for name, limits in LIMITS.ratios.items()
        for code, limit in limits.items()
    }
    assert kept >= PROMISED
    assert LIMITS.imports == {"import interop": {"import numpy, ml_dtypes": 30}}
    assert LIMITS.tolerance == 0.15


def test_every_budget_has_a_row() -> None:
    measured = {(each.name, other.code) for each in ALL for other in each.others}
    assert {(name, code) for name, limits in LIMITS.ratios.items() for code in limits} <= measured
    assert {(code, base) for code, bases in LIMITS.imports.items() for base in bases} <= set(IMPORTS)
    assert LIMITS.memory.keys() == {"view", "copy"}


def test_promised_small_calls_get_a_new_tensor_where_a_first_call_differs() -> None:
    for comparison in ALL:
        if comparison.name in LIMITS.ratios and comparison.section == rows.SMALL and comparison.source.variable == "t":
            assert comparison.source.fresh, comparison.name


def test_every_adapter_has_a_row() -> None:
    ours = " ".join(each.ours.code for each in ALL)
    given = " ".join(each.source.text for each in ALL)
    # scipy's matrices are refused, and Pillow is imported as PIL.
    built_in = {name: info for name, info in interop.adapters().items() if info.origin == "built-in"}
    assert {name for name, info in built_in.items() if info.target and f"to_{name}(" not in ours} == set()
    assert {name for name in built_in if name not in given} == {"scipy", "PIL"}


def test_names_of_comparisons_are_unique() -> None:
    found = [comparison.name for comparison in ALL]
    assert len(set(found)) == len(found)


def test_every_name_in_the_code_is_known() -> None:
    for comparison in ALL:
        for way in (comparison.ours, *comparison.others):
            used = [node for node in ast.walk(ast.parse(way.code)) if isinstance(node, ast.Name)]
            taken = {node.id for node in used} - {node.id for node in used if isinstance(node.ctx, ast.Store)}
            assert taken <= names.NAMES.keys() | {comparison.source.variable, "memoryview", "bool"}, way.code


def test_cost_is_that_of_a_call_without_the_loop() -> None:
    cost = timing.costs({"f": [1100, 2100], "g": [600, 600]}, empty=[100, 150], calls=10)
    assert cost["f"].blocks == (100, 200)
    assert cost["f"].best == 100
    assert cost["f"].over(cost["g"]) == 2
    assert cost["f"].median_over(cost["g"]) == 3
    assert (cost["f"] + cost["g"]).blocks == (100, 200, 50, 50)


def test_a_call_that_costs_nothing_still_has_a_ratio() -> None:
    cost = timing.costs({"f": [90]}, empty=[100], calls=10)["f"]
    assert cost.over(cost) == 1


def test_the_ways_alternate_and_each_block_has_objects_of_its_own() -> None:
    seen: list[tuple[str, int]] = []
    made = count()
    clock = count(step=10)
    loops = {
        name: timing.compile_loop("note(NAME, x)", "x", {"note": lambda *pair: seen.append(pair), "NAME": name})
        for name in "fg"
    }
    found = timing.measure(loops, lambda number: [next(made) for _ in range(number)], BRIEF, clock=lambda: next(clock))
    blocks = [name for name, _ in seen[4::3]]
    assert blocks == ["f", "g", "g", "f", "f", "g", "g", "f", "f", "g"]
    assert len({x for _, x in seen}) == len(seen)
    assert len(found["f"].blocks) == 5


@pytest.mark.parametrize(
    ("figure", "limit", "verdict"),
    [
        (1.0, 1.0, Verdict.MET),
        (1.1, 1.0, Verdict.CLOSE),
        (1.2, 1.0, Verdict.MISSED),
        (None, 1.0, Verdict.MISSED),
        (9.0, None, Verdict.NONE),
    ],
)
def test_verdict(figure: float | None, limit: float | None, verdict: Verdict) -> None:
    assert with_ratio(1).judge(figure, limit) is verdict


def test_only_a_miss_and_a_failure_fail() -> None:
    assert {verdict for verdict in Verdict if verdict.fails} == {Verdict.MISSED, Verdict.FAILED}


def test_a_comparison_reports_each_of_the_others() -> None:
    ways = (Way("np.asarray(a)"), Way("a.copy()", shares=False))
    first, second = contest(Comparison("it", ARRAY, Way("np.asanyarray(a)"), ways), with_ratio(1e9), BRIEF)
    assert (first.against, first.verdict, first.limit) == ("np.asarray(a)", Verdict.MET, 1e9)
    assert (second.against, second.verdict, second.limit) == ("a.copy()", Verdict.NONE, None)
    assert first.ours
    assert first.theirs
    assert first.figure == first.ours / first.theirs


@pytest.mark.parametrize(
    ("way", "said", "verdict"),
    [
        (Way("a.copy()"), "was to share the memory, and didn't", Verdict.FAILED),
        (Way("np.asarray(a)", shares=False), "was to copy the memory, and didn't", Verdict.FAILED),
        (Way("a * 2", shares=False), "gave other values", Verdict.FAILED),
        (Way("a.nonsense()"), "AttributeError", Verdict.REFUSED),
    ],
)
def test_what_does_not_do_what_its_row_claims_is_not_timed(way: Way, said: str, verdict: Verdict) -> None:
    ours = Way("np.asanyarray(a)")
    (other,) = contest(Comparison("it", ARRAY, ours, (way,)), UNLIMITED, BRIEF)
    assert (other.verdict, other.figure) == (verdict, None)
    assert said in other.note
    (mine,) = contest(Comparison("it", ARRAY, way, (ours,)), UNLIMITED, BRIEF)
    assert mine.verdict is Verdict.FAILED
    assert said in mine.note


def test_a_missing_package_is_reported_and_fails_where_a_budget_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(names.NAMES, "absent", names.Origin("no_such_module_anywhere", distribution="no-such-thing"))
    comparison = Comparison("it", ARRAY, Way("np.asanyarray(a)"), (Way("absent.view(a)"),))
    (result,) = contest(comparison, with_ratio(1), BRIEF)
    assert (result.verdict, result.note) == (Verdict.ABSENT, "no-such-thing is not installed")
    named = budgets.Budgets(0.15, {"it": {"absent.view(a)": 1.0}}, {}, {})
    (result,) = contest(comparison, named, BRIEF)
    assert (result.verdict, result.note) == (Verdict.MISSED, "no-such-thing is not installed")
    assert result.verdict.fails


RESULTS = [
    Result(
        "small tensors",
        "to_numpy",
        "a tensor",
        "to_numpy(t)",
        "t.numpy()",
        "ns",
        500,
        450,
        1.11,
        1.12,
        1.15,
        Verdict.MET,
    ),
    Result(
        "small tensors",
        "to_numpy",
        "a tensor",
        "to_numpy(t)",
        "np.from_dlpack(t)",
        "ns",
        500,
        2000,
        0.25,
        0.5,
        0.2,
        Verdict.MISSED,
    ),
    Result(
        "small tensors",
        "to_numpy",
        "a tensor",
        "to_numpy(t)",
        "f(t)",
        "ns",
        500,
        verdict=Verdict.ABSENT,
        note="f is not installed",
    ),
    Result("large tensors", "big", "torch float32 64 MiB", "to_numpy(t)", "g(t)", "ns", 5e6, 5e6, 1.0, 1.0),
    Result("imports", "import", "fresh", "import interop", "import numpy", "ms", 50, 30, 20, None, 30, Verdict.MET),
]


def test_plain_table_says_everything() -> None:
    text = report.plain(RESULTS, "this machine")
    for said in (
        "this machine",
        "0.25",
        "MISSED; noisy: median 0.50",
        "f is not installed",
        "5.00 ms",
        "+20.0 ms",
        "+30.0 ms",
    ):
        assert said in text
    assert text.rstrip().endswith("5 results, 3 budgets: 2 met, 1 MISSED")


def test_a_row_that_failed_is_no_budget_that_was_missed() -> None:
    broken = Result("small tensors", "it", "an array", "f(a)", "g(a)", "ns", verdict=Verdict.FAILED, note="ValueError")
    assert report.summary([broken]) == "1 results, 0 budgets: 0 met; 1 FAILED"


def test_markdown_has_a_table_for_each_source() -> None:
    text = report.markdown(RESULTS, "this machine")
    assert text.count("\n|---|") == 3
    assert "| `to_numpy(t)` | `t.numpy()` | 500 ns | 450 ns | 1.11 | 1.15 | met |" in text


def test_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert chart.draw(RESULTS, "this machine", tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
    assert not chart.draw(RESULTS[-1:], "this machine", tmp_path / "none.png")


def test_one_row_runs_from_end_to_end(tmp_path: Path) -> None:
    line: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks",
        "--quick",
        "--only",
        "numpy to itself",
        "--out",
        tmp_path / "out",
    ]
    run = subprocess.run(
        [*line, "--json", tmp_path / "it.json"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "to_numpy(a)" in run.stdout
    assert "\033" not in run.stdout
    found = json.loads((tmp_path / "it.json").read_text())
    assert found["ok"]
    assert found["versions"]["numpy"] == np.__version__
    assert found["cpu"]
    (result,) = found["results"]
    assert (result["call"], result["against"]) == ("to_numpy(a)", "np.asarray(a)")
    assert (tmp_path / "out" / "benchmarks.md").exists()


def test_a_missed_budget_is_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hopeless = budgets.Budgets(0.15, {"numpy to itself": {"np.asarray(a)": 1e-9}}, {}, {"view": 0, "copy": 0})
    monkeypatch.setattr(budgets, "load", lambda: hopeless)
    assert command.main(["--quick", "--only", "numpy to itself", "--out", str(tmp_path)]) == 1
    assert "1 MISSED" in capsys.readouterr().out
    assert command.main(["--only", "nothing that is there"]) == 2
