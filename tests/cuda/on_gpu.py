"""One command that finds out on a machine with a GPU what is true there of this library and of the simulated device.

    python3 tests/cuda/on_gpu.py --out DIR --budget 440
    python3 tests/cuda/on_gpu.py --out DIR --simulate     # a rehearsal, on the simulated CUDA device

It needs no network and imports nothing but the standard library: each stage is a process with a limit of its own, and
`report.json` and `report.md` in DIR are written anew after each, so that whoever is stopped keeps what was seen.
`docs/testing-gpu.md` says what the machine has to have.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Mode = Literal["lazy", "eager"]

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"

#: Settings under which a GPU's answers mean what they say: no preallocated memory, no module loaded in the midst.
SETTINGS = {
    "CUDA_MODULE_LOADING": "EAGER",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "PYTHONUNBUFFERED": "1",
    "HYPOTHESIS_PROFILE": "brief",
    "INTEROP_TEST_FRAMEWORKS": "numpy,torch,cupy",
}

#: Nothing starts in fewer seconds.
LEAST = 2

#: How long one test may take: a rule that doesn't hold may wait for ever.
PATIENCE = 20.0

#: And the start of a process, which imports all that it is about.
STARTING = 90.0


@dataclass
class Stage:
    """One thing to find out.

    Attributes
    ----------
    name
        Of the module in `gpu_stages` too, unless it runs tests.
    limit
        Seconds that it may take.
    tests
        Files and folders of tests, where it runs those.
    """

    name: str
    limit: float
    tests: tuple[str, ...] = ()


#: What is worth most comes first: whoever has little time is stopped in the midst of it.
STAGES = (
    Stage("versions", 20),
    Stage("build", 120),
    Stage("rules", 90, ("rules",)),
    Stage("races", 90),
    Stage("latency", 60),
    Stage("bandwidth", 60),
    Stage("captures", 30),
    Stage("overlap", 30),
    Stage("frameworks", 40),
    Stage("tests", 120, ("",)),
    Stage("sanitizer", 60),
)


@dataclass
class Outcome:
    """What a stage has found.

    Attributes
    ----------
    status
        "done", "failed" (its exit status), "stopped" (at its limit) or "left out".
    rows
        What it printed, a JSON object a line.
    tail
        The end of what it said beside that.
    """

    name: str
    status: str = "left out"
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    tail: str = ""


class Run:
    """The whole of it: where results go, how much time is left, what the processes are started with."""

    def __init__(self, out: Path, budget: float, *, simulate: Mode | None, short: bool) -> None:
        self.out, self.simulate, self.short = out, simulate, short
        self.end = time.monotonic() + budget
        self.outcomes: list[Outcome] = []
        self.scratch = Path(tempfile.mkdtemp(prefix="on_gpu"))
        path = os.pathsep.join([str(TESTS), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = {**SETTINGS, **os.environ, "PYTHONPATH": path}
        if simulate:
            sys.path.insert(0, str(TESTS))
            import cudasim

            os.environ["PYTHONPATH"] = path
            self.environment = {**SETTINGS, **cudasim.environment(simulate)}
        self.environment["ON_GPU_SHORT"] = "1" if short else ""
        out.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def stage(self, stage: Stage) -> None:
        """Run one stage, and write down what has been found up to now."""
        outcome = Outcome(stage.name)
        self.outcomes.append(outcome)
        limit, start = min(stage.limit, self.left), time.monotonic()
        if limit < LEAST:
            outcome.tail = "no time was left"
        elif stage.tests:
            run_tests(self, stage, outcome, limit)
        else:
            self.program(stage, outcome, limit)
        outcome.seconds = round(time.monotonic() - start, 1)
        self.write()

    def program(self, stage: Stage, outcome: Outcome, limit: float) -> None:
        """Run a module of `gpu_stages`, which prints a JSON object for each thing that it has found."""
        heard = self.scratch / f"{stage.name}.out"
        with heard.open("wb") as output:
            code = watch(self.start(["-m", f"gpu_stages.{stage.name}"], output), limit)
        outcome.status = {None: "stopped", 0: "done"}.get(code, "failed")
        said = []
        for line in heard.read_text(encoding="utf-8", errors="replace").splitlines():
            row = parsed(line)
            outcome.rows.append(row) if row is not None else said.append(line)
        outcome.tail = "\n".join(said[-40:])[-6000:]

    def start(self, words: list[str], output: Any, **variables: str) -> subprocess.Popen[bytes]:
        """Start Python in a process group of its own, so that all of it can be ended."""
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def write(self) -> None:
        """Write the report: what was there before is replaced in one step."""
        found = [vars(outcome) for outcome in self.outcomes]
        on = f"simulated CUDA, {self.simulate} mode" if self.simulate else "CUDA"
        text = json.dumps({"on": on, "seconds_left": round(self.left, 1), "stages": found}, indent=1)
        for name, content in (("report.json", text), ("report.md", page(on, self.outcomes))):
            part = self.out / f"{name}.part"
            part.write_text(content, encoding="utf-8")
            part.replace(self.out / name)


def parsed(line: str) -> dict[str, Any] | None:
    """What a line says, where it is a JSON object."""
    try:
        row = json.loads(line) if line.startswith("{") else None
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def watch(process: subprocess.Popen[bytes], limit: float, alive: Callable[[], bool] = lambda: True) -> int | None:
    """Wait for a process, and end it with all that it started after `limit` seconds, or when `alive` says no."""
    end = time.monotonic() + limit
    while time.monotonic() < end and alive():
        try:
            return process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            continue
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return None


# -- tests, one after the other, none of which can take the others with it ---------------------------------------------

INI = """[pytest]
addopts = --import-mode=importlib
pythonpath = {tests} {root}
markers =
    slow: takes over five seconds
    packaging: makes environments
"""


def run_tests(run: Run, stage: Stage, outcome: Outcome, limit: float) -> None:
    """Run tests in as few processes as can be: a hang, a crash or a broken context costs one test and a new start."""
    end = time.monotonic() + limit
    ini = run.scratch / "pytest.ini"
    ini.write_text(INI.format(tests=TESTS, root=ROOT), encoding="utf-8")
    folder = TESTS / "cuda"
    results: dict[str, str] = {}
    why: dict[str, str] = {}
    files = [path for path in sorted((folder / stage.tests[0]).glob("test_*.py")) if path.name not in LEFT_OUT]
    if run.short:
        files = [path for path in files if path.name in SHORT]
    while time.monotonic() < end - 1 and one_process(run, ini, files, results, why, end):
        pass
    outcome.rows = [{"test": name, "result": result, "why": why.get(name, "")} for name, result in results.items()]
    outcome.status = "stopped" if time.monotonic() >= end - 1 else "done"


#: The tests of this very file.
LEFT_OUT = {"test_on_gpu.py"}

#: Of a rehearsal in continuous integration, which has run all of them by then.
SHORT = {"test_streams.py", "test_events.py", "test_ground.py"}


def one_process(
    run: Run, ini: Path, files: list[Path], results: dict[str, str], why: dict[str, str], end: float
) -> bool:
    """Run the tests that are left; True where it ended before the last of them, and is to be started again."""
    events, skip = run.scratch / "events", run.scratch / "skip"
    events.write_text("", encoding="utf-8")
    skip.write_text("\n".join(results), encoding="utf-8")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "gpu_stages.reporter", f"--rootdir={ROOT}"]
    words += ["-c", str(ini), f"--confcutdir={ROOT}", *map(str, files)]
    if run.simulate:
        words += ["-p", "cudasim.plugin", f"--simulate-cuda={run.simulate}"]
    heard = run.scratch / "tests.out"

    def alive() -> bool:
        # Since the last test began, or the process was started: importing takes its time.
        patience = PATIENCE if events.stat().st_size else STARTING
        return time.time() - events.stat().st_mtime < patience

    with heard.open("wb") as output:
        process = run.start(words, output, ON_GPU_EVENTS=str(events), ON_GPU_SKIP=str(skip))
        code = watch(process, end - time.monotonic(), alive)
    begun, before = None, len(results)
    for line in events.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if "begins" in event:
            begun = event["begins"]
        else:
            results[event["test"]], why[event["test"]], begun = event["result"], event["why"], None
    if begun is not None:
        results[begun] = "hung" if code is None else "crashed"
        why[begun] = heard.read_text(encoding="utf-8", errors="replace")[-400:]
    elif len(results) == before and code not in (None, 0, NOTHING_LEFT):
        results["the tests"] = "not collected"
        why["the tests"] = heard.read_text(encoding="utf-8", errors="replace")[-1500:]
        return False
    return (begun is not None or code in (None, BROKEN)) and len(results) > before


#: pytest's own status where no test was to be run.
NOTHING_LEFT = 5

#: What the reporter ends a process with whose CUDA context is broken for good.
BROKEN = 97


# -- the report --------------------------------------------------------------------------------------------------------


def page(on: str, outcomes: list[Outcome]) -> str:
    """The report for people."""
    lines = [f"# What was found on {on}", "", "| stage | how it ended | s |", "|---|---|--:|"]
    lines += [f"| {each.name} | {each.status} | {each.seconds} |" for each in outcomes]
    for each in outcomes:
        lines += ["", f"## {each.name}", ""]
        lines += table(each.rows) if each.rows else []
        if each.tail and each.status != "done":
            lines += ["", "```", each.tail, "```"]
    return "\n".join(lines) + "\n"


#: What a test's end says of the rule that it states.
VERDICTS = {"passed": "confirmed", "failed": "refuted", "skipped": "not asked here"}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows as a table: of tests those that don't simply hold."""
    if "test" in rows[0]:
        rows = [{**row, "result": VERDICTS.get(row["result"], row["result"])} for row in rows]
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["result"]] = counts.get(row["result"], 0) + 1
        head = [", ".join(f"{count} {result}" for result, count in counts.items()), ""]
        rows = [row for row in rows if row["result"] != "not asked here"]
        if not rows:
            return head
    else:
        head = []
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        cells = [" ".join(str(row.get(key, "")).split()).replace("|", "\\|")[:300] for key in columns]
        lines.append(f"| {' | '.join(cells)} |")
    return head + lines


def main(words: list[str]) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder that report.json and report.md are written to"
    )
    parser.add_argument("--budget", type=float, default=440, help="seconds for all of it (440)")
    parser.add_argument(
        "--simulate", nargs="?", const="lazy", choices=("lazy", "eager"), help="on the simulated device"
    )
    parser.add_argument("--short", action="store_true", help="a little of each stage: whether they all run")
    parser.add_argument("--only", default="", help="names of stages, with commas")
    asked = parser.parse_args(words)
    run = Run(asked.out, asked.budget, simulate=asked.simulate, short=asked.short)
    chosen = set(filter(None, asked.only.split(",")))
    if unknown := chosen - {stage.name for stage in STAGES}:
        parser.error(f"there are no stages {', '.join(sorted(unknown))}")
    try:
        for stage in STAGES:
            if not chosen or stage.name in chosen:
                print(f"== {stage.name}, {run.left:.0f} s left", flush=True)
                run.stage(stage)
                print(f"   {run.outcomes[-1].status} after {run.outcomes[-1].seconds} s", flush=True)
    finally:
        shutil.rmtree(run.scratch, ignore_errors=True)
    wrong = [each.name for each in run.outcomes if each.status != "done"]
    print(f"{asked.out / 'report.md'}; not done: {', '.join(wrong) or 'nothing'}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
