"""The command line: cases in a process of its own, which may end at any of them, and what they have shown."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fuzz.known import KNOWN
from fuzz.running import Cases, Failure, Runner, growth

if TYPE_CHECKING:
    from fuzz.programs import Case

#: Seconds without a new case after which a process counts as hung; the first one comes when all is imported.
PATIENCE: Final = 300

#: How often a process that has ended is replaced.
LIVES: Final = 20

#: Failures of one law whose programs are printed.
SHOWN: Final = 3

#: The number of the case that a process works on, as it is written where others can read it.
_NUMBER: Final = struct.Struct("q")


@dataclass
class Report:
    """What came of so many calls."""

    calls: int
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        laws = Counter(failure.law for failure in self.failures)
        lines = [
            f"{self.calls:,} calls, {self.calls / max(self.seconds, 1e-9):,.0f} a second: {len(self.failures)} failures"
        ]
        for law, count in laws.most_common():
            lines.append(f"\n== {law}: {count}")
            for failure in [each for each in self.failures if each.law == law][:SHOWN]:
                lines += [
                    f"\ncase {failure.number}: {failure.what}\n",
                    *(f"    {line}" for line in failure.program.split("\n")),
                ]
        return "\n".join(lines)


def frameworks() -> list[str]:
    """Those that this run was asked to test, with the two that programs are written in."""
    asked = os.environ.get("INTEROP_TEST_FRAMEWORKS", "numpy,torch").split(",")
    return ["numpy", "torch", *(name for name in asked if name not in ("numpy", "torch"))]


# The process that runs the cases.


def _work(cases: Sequence[Case] | None, seed: int, first: int, count: int, folder: Path) -> None:
    """Run cases, and write down each that broke a law, and which one it is at."""
    import torch

    # Threads are another matter (stress.py).
    torch.set_num_threads(1)
    names = frameworks()
    runner = Runner(names)
    todo = Cases(seed, names)
    with (folder / "number").open("r+b", buffering=0) as number, (folder / "failures").open("a") as failures:

        def started(at: int) -> None:
            number.seek(0)
            number.write(_NUMBER.pack(at))

        for failure in runner.run(cases or map(todo.case, range(first, first + count)), started):
            failures.write(json.dumps(asdict(failure)) + "\n")
            failures.flush()
        if cases is None and count >= 2 * GROWING:
            kept = growth(runner, [todo.case(at) for at in range(first, first + GROWING)])
            if kept is not None:
                failures.write(json.dumps(asdict(Failure(first, "repeating keeps nothing", kept, ""))) + "\n")


#: Cases that are repeated, to see whether anything is kept of them.
GROWING: Final = 1000


# The one that watches it.


def _alive(process: subprocess.Popen[bytes], number: Path) -> bool:
    """Wait for a process to end; False where it hangs."""
    at, since = b"", time.monotonic()
    while True:
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            now = number.read_bytes()
            if now != at:
                at, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                process.kill()
                process.wait()
                return False
        else:
            return True


def _ended(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def watch(seed: int, first: int, count: int, *, known: str = "") -> Report:
    """Run cases in processes of their own: so many from a number on, or a known one by its name."""
    report, began = Report(count), time.monotonic()
    todo = Cases(seed, frameworks())
    last = first + count
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for _ in range(LIVES):
            (folder / "number").write_bytes(_NUMBER.pack(-1))
            (folder / "failures").touch()
            command = [sys.executable, "-m", "fuzz", "--here", made, "--seed", str(seed), "--first", str(first)]
            chosen = ["--known", known] if known else ["--calls", str(last - first)]
            process = subprocess.Popen([*command, *chosen], cwd=Path(__file__).parent.parent, env=_environment())
            hangs = not _alive(process, folder / "number")
            if process.returncode == 0:
                break
            (at,) = _NUMBER.unpack((folder / "number").read_bytes())
            law = "no call hangs" if hangs else "no call ends the process"
            case = KNOWN[known] if known else todo.case(max(at, first))
            what = _ended(process.returncode) if at >= 0 else f"{_ended(process.returncode)}, before the first case"
            report.failures.append(Failure(case.number, law, what, str(case)))
            first = at + 1
            if known or at < 0 or first >= last:
                break
        lines = (folder / "failures").read_text().splitlines()
    report.failures += [Failure(**json.loads(line)) for line in lines]
    report.seconds = time.monotonic() - began
    return report


def _environment() -> dict[str, str]:
    """The library that is loaded here, and this package."""
    import interop

    folders = [str(Path(__file__).parent.parent), str(Path(interop.__file__).parent.parent)]
    return os.environ | {"PYTHONPATH": os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")])}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Random calls, judged by an oracle.")
    parser.add_argument("--calls", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="which ones (default: any; it is printed)")
    parser.add_argument(
        "--first", type=int, default=0, help="the number to begin at: --first 123 --calls 1 repeats one"
    )
    parser.add_argument("--program", action="store_true", help="print the programs, and run nothing")
    parser.add_argument("--known", default="", choices=("", *KNOWN), metavar="NAME", help="run what is known to break")
    parser.add_argument("--here", default="", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments say; 1 where a law was broken."""
    asked = _arguments(argv)
    seed = secrets.randbelow(1_000_000) if asked.seed is None else asked.seed
    if asked.here:
        cases = [KNOWN[asked.known]] if asked.known else None
        _work(cases, seed, asked.first, asked.calls, Path(asked.here))
        return 0
    if asked.program:
        cases_of_seed = Cases(seed, frameworks())
        print("\n\n".join(f"# {at}\n{cases_of_seed.case(at)}" for at in range(asked.first, asked.first + asked.calls)))
        return 0
    print(f"seed {seed}, frameworks {', '.join(frameworks())}", flush=True)
    report = watch(seed, asked.first, asked.calls, known=asked.known)
    print(report)
    if report.failures:
        print(f"\nto repeat one: python -m fuzz --seed {seed} --first NUMBER --calls 1")
    return int(bool(report.failures))
