"""The command line: the demo from end to end, in a process of its own, and what happens where it can't run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from patience import PATIENCE

import interop
from interop.cli import COMMANDS, main
from interop.cli._timing import Duel, duel, human

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-W", "error", "-m", "interop")
ESCAPE = "\x1b["


def run(
    *arguments: str, cwd: Path, path: Path | None = None, code: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a new process; `code` runs before it, and what is in `path` comes first on the import path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")}
    if path is not None:
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(path), kept.get("PYTHONPATH"))))
    command: tuple[str, ...] = (*COMMAND, *arguments)
    if code:
        launch = f"{code}\nfrom interop.cli import main\nraise SystemExit(main({list(arguments)!r}))"
        command = (sys.executable, "-W", "error", "-c", launch)
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=kept | environ,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


class Demo(NamedTuple):
    done: subprocess.CompletedProcess[str]
    folder: Path


@pytest.fixture(scope="module")
def needed() -> None:
    for name in ("rich", "matplotlib", "PIL", "torch"):
        pytest.importorskip(name)


@pytest.fixture(scope="module")
def demo(needed: None, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    cwd = tmp_path_factory.mktemp("demo")
    return Demo(run("demo", "--seconds", "0.02", cwd=cwd), cwd / "interop-demo")


def test_the_demo_succeeds(demo: Demo) -> None:
    assert demo.done.returncode == 0, demo.done.stderr
    found = re.search(r"^(\d+) checks passed in [\d.]+ s\.$", demo.done.stdout, re.MULTILINE)
    assert found is not None
    assert int(found[1]) == demo.done.stdout.count("  checked ")


def test_what_goes_into_a_pipe_is_plain(demo: Demo) -> None:
    assert ESCAPE not in demo.done.stdout
    assert [line for line in demo.done.stdout.splitlines() if line != line.rstrip()] == []
    assert demo.done.stdout.isascii()


#: The rows of the table of times that any machine has: what each is, and how many bytes it writes.
HOPS = {
    "torch bfloat16 -> numpy": ("view", 0),
    "numpy bfloat16 -> torch": ("view", 0),
    "Pillow -> torch": ("view of its export", 0),
    "torch -> numpy, for Pillow": ("view", 0),
    "mapped file -> torch": ("copy", 2048 * 1024 * 4),
    "mapped file -> torch, by promise": ("view", 0),
    "torch, negative bit -> numpy": ("copy", 4096 * 4),
}


@pytest.mark.parametrize("title", HOPS)
def test_the_table_says_what_each_hop_is(demo: Demo, title: str) -> None:
    kind, written = HOPS[title]
    time = r"[\d.]+ (?:s|ms|us|ns)"
    row = rf"^   {re.escape(title)} {{2,}}{kind} {{2,}}{written:,} {{2,}}{time} {{2,}}{time} {{2,}}[\d.]+x$"
    assert re.search(row, demo.done.stdout, re.MULTILINE), demo.done.stdout


def test_a_view_shows_one_pointer_and_a_copy_two(demo: Demo) -> None:
    pointers = re.findall(r"^ +pointer  (0x[0-9a-f]+) -> (0x[0-9a-f]+)$", demo.done.stdout, re.MULTILINE)
    same = [before == after for before, after in pointers]
    assert same[:6] == [True, True, True, False, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "torch computes something else after numpy's change",
        "it computes what a copy computes that torch itself has pruned",
        "why: the source is readonly, which torch can't express",
        "it is ReadOnlyError and names the way: writable=False",
        "after all of it the file is as before, byte for byte",
        "why: the negative bit is set: the memory holds the negative of the values",
        "it is UnsupportedError and names the way: x.filled",
        "it is GradientError and names the way: detach=True",
    ],
)
def test_it_shows(demo: Demo, text: str) -> None:
    assert text in " ".join(demo.done.stdout.split())


def test_the_cuda_part_runs_or_says_why_not(demo: Demo) -> None:
    assert ("Left out: " in demo.done.stdout) != ("torch sees what cupy wrote" in demo.done.stdout)


@pytest.mark.parametrize("name", ["picture.png", "picture-edges.png", "picture-pair.png", "timings.png"])
def test_its_pictures_are_there_and_said_to_be(demo: Demo, name: str) -> None:
    image = pytest.importorskip("PIL.Image")
    assert f"interop-demo{os.sep}{name} " in demo.done.stdout
    with image.open(demo.folder / name) as picture:
        picture.load()
        low_high = picture.convert("L").getextrema()
    assert low_high[1] - low_high[0] > 100, "it is all of one colour"


def test_it_leaves_nothing_else(demo: Demo) -> None:
    assert len(list(demo.folder.iterdir())) == 4
    assert [path.name for path in demo.folder.parent.iterdir()] == ["interop-demo"]


#: A library that is wrong, and what the demo says of it.
BROKEN = {
    "copies": (
        "interop.to_numpy = lambda x, **o: real(x, **o | {'copy': True})",
        "it isn't so that the pointers are equal",
    ),
    "wrong values": (
        "interop.to_numpy = lambda x, **o: real(-x if getattr(x, 'is_neg', bool)() else x, **o)",
        "it isn't so that the values are those of the by-hand way",
    ),
    "gives what it should refuse": (
        "there = interop.to_torch; interop.to_torch = lambda x, **o: there(x, **o | {'copy': None})",
        "interop.to_torch(mapped, copy=False) should have been refused with ReadOnlyError, and wasn't",
    ),
}


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("how", BROKEN)
def test_a_library_that_is_wrong_fails_the_demo(how: str, tmp_path: Path) -> None:
    code, said = BROKEN[how]
    code = f"import interop\nreal = interop.to_numpy\n{code}"
    done = run("demo", "--seconds", "0", "--out", str(tmp_path), cwd=tmp_path, code=code, FORCE_COLOR="1")
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith(f"interop demo: a check failed: {said}")
    assert done.stderr.count("\n") == 1
    assert ESCAPE not in done.stderr
    assert ESCAPE in done.stdout, "in a terminal it is in colours"


@pytest.mark.parametrize(
    ("library", "extra"), [("rich", "demo"), ("matplotlib", "demo"), ("PIL", "demo"), ("torch", "torch")]
)
def test_a_missing_library_is_one_line_that_says_what_to_install(library: str, extra: str, tmp_path: Path) -> None:
    package = tmp_path / "decoys" / library
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{library}'\")\n", encoding="utf-8"
    )
    done = run("demo", cwd=tmp_path, path=package.parent)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert library in done.stderr
    assert extra in done.stderr.partition('pip install "tensor-interop[')[2].partition(']"')[0].split(",")
    assert not (tmp_path / "interop-demo").exists()


@pytest.mark.usefixtures("needed")
def test_a_folder_that_can_not_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    assert main(["demo", "--out", str(taken)]) == 2
    err = capsys.readouterr().err
    assert str(taken) in err
    assert "--out" in err
    assert err.count("\n") == 1


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(row.name in done.stdout and row.help.split()[0] in done.stdout for row in COMMANDS)


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_has_help(row: object, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(getattr(row, "name", ""))
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: interop {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"interop {interop.__version__}\n"


def test_an_unknown_command_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dmeo"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "'dmeo'" in err
    assert "demo" in err


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: interop" in capsys.readouterr().err


def test_help_loads_no_framework_and_none_of_the_extras(tmp_path: Path) -> None:
    heavy = ("torch", "cupy", "jax", "rich", "matplotlib", "PIL")
    code = f"import atexit, sys\natexit.register(lambda: print('loaded:', [n for n in {heavy!r} if n in sys.modules]))"
    assert run("--help", cwd=tmp_path, code=code).stdout.endswith("loaded: []\n")


def test_a_reader_that_leaves_early_is_no_error(needed: None, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "demo", "--seconds", "0"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline().startswith("interop ")
        process.stdout.close()
        assert process.stderr.read() == ""
    process.wait(timeout=PATIENCE)


def test_a_duel_tells_the_faster_way() -> None:
    times = duel("sum(short)", "sum(long)", {"short": range(10), "long": range(5000)}, seconds=0.01)
    assert 0 < times.ours < times.by_hand
    assert times.ratio > 10
    assert times.repeats >= 5


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (Duel(1.0, 3.0, 5), "3 times as fast as by hand"),
        (Duel(3.0, 1.0, 5), "by hand is 3 times as fast"),
        (Duel(1.0, 1.05, 5), "as fast as by hand"),
    ],
)
def test_a_duel_in_words(times: Duel, words: str) -> None:
    assert times.verdict() == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.0, "2 s"), (0.0123, "12.3 ms"), (1.25e-6, "1.25 us"), (4.2e-7, "420 ns"), (0.9996e-6, "1 us")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert human(seconds) == text
