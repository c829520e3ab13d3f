"""What the doctor finds, as data: libraries, pairs, GPU, and what is wrong."""

from __future__ import annotations

import ctypes
import json
import platform
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import interop
from interop._registry import frameworks
from interop._whole import MEND, NAMESAKE, OURS
from interop.cli._process import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


_PROBE: Final = "interop.cli._doctor.probe"

#: The routes of a conversion that gave a result.
_MADE: Final = frozenset({"zero-copy", "copy", "transfer"})


@dataclass
class Library:
    """One library that has an adapter: what is here of it, and how to mend what isn't."""

    name: str
    origin: str
    state: str
    version: str = ""
    seconds: float = 0.0
    error: str = ""
    mend: str = ""
    gpu: dict[str, Any] = field(default_factory=dict)


@dataclass
class Findings:
    """All that was found.

    Attributes
    ----------
    here
        Versions of what runs this.
    libraries
        Each that has an adapter.
    pairs
        What each conversion of the self-test did.
    gpu
        The driver, and CUDA as each library sees it.
    problems
        What is broken; none where all is well.
    """

    here: dict[str, str]
    libraries: list[Library]
    pairs: list[dict[str, Any]]
    gpu: dict[str, Any]
    problems: list[str]

    def as_json(self) -> str:
        """For programs."""
        return json.dumps(asdict(self), indent=1)


def examine(only: Sequence[str], timeout: float, progress: Callable[[str], object]) -> Findings:
    """Look at everything, in processes of their own.

    Parameters
    ----------
    only
        The libraries to look at; all where empty.
    timeout
        Seconds that one process may take.
    progress
        Called with what is being done.
    """
    known = {name: info for name, info in interop.adapters().items() if not only or name in only}
    libraries = {name: _shell(name, info) for name, info in known.items()}
    here = [name for name, one in libraries.items() if one.state == "works"]
    progress("importing the libraries, and handing a tensor from each to each")
    told, together = _together(here, timeout)
    ran: _Ran | None = together
    if not (together.late or told.keys() != set(here) or any(map(_fault_of, told.values()))):
        for name, facts in told.items():
            _take(libraries[name], facts)
    else:
        # One of them is broken, or spoils or delays the rest: each is looked at in a process of its own.
        progress("importing each library by itself")
        with ThreadPoolExecutor(max_workers=2) as pool:
            for name, facts in zip(here, pool.map(lambda name: _probe(["library", name], timeout), here), strict=True):
                _take(libraries[name], facts)
        ran = None
    works = [name for name in here if libraries[name].state == "works"]
    progress("handing a tensor from each to each")
    pairs = _pairs(works, timeout, ran)
    return _findings(list(libraries.values()), pairs)


def _findings(libraries: list[Library], pairs: list[dict[str, Any]]) -> Findings:
    _break_those_that_never_work(libraries, pairs)
    broken = {one.name for one in libraries if one.state == "broken"}
    problems = _namesakes()
    problems += [f"{one.name}: {one.error}" for one in libraries if one.state == "broken"]
    # One that is broken spoils each of its pairs; it has been told once.
    problems += [
        f"{one['source']} to {one['target']}: {one['error']}"
        for one in pairs
        if not one["ok"] and not broken & {one["source"], one["target"]}
    ]
    return Findings(_here(), libraries, pairs, _gpu(libraries), problems)


def _namesakes() -> list[str]:
    """Other distributions that install a package of our name."""
    others = set(metadata.packages_distributions().get("interop", ())) - {OURS}
    return [
        f"the distribution {name} {_version(name)} installs a package of the same name over this one, and uninstalling "
        f"it takes files of this one away: {MEND.replace(NAMESAKE, name, 1)}. The two can't share an environment"
        for name in sorted(others)
    ]


def _break_those_that_never_work(libraries: Iterable[Library], pairs: Iterable[dict[str, Any]]) -> None:
    """An adapter can load, and do nothing right: then its first error is what there is to say of it."""
    for one in libraries:
        own = [pair for pair in pairs if one.name in (pair["source"], pair["target"])]
        failed = [pair for pair in own if not pair["ok"]]
        made = any(pair["ok"] and pair["route"] in _MADE for pair in own)
        if one.state == "works" and failed and not made:
            alone = next((pair for pair in failed if pair["source"] == pair["target"]), failed[0])
            one.state, one.error = "broken", alone["error"]


def _here() -> dict[str, str]:
    found = {"interop": interop.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for name in ("numpy", "ml-dtypes", "array-api-compat"):
        found[name] = _version(name) or "missing"
    return found


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _shell(name: str, info: interop.AdapterInfo) -> Library:
    """What can be said of a library before it is imported; it is thought to work until something shows."""
    found = Library(name, info.origin, "missing")
    row = frameworks.row_of(name)
    if row is None or (info.problem and not info.loaded):
        found.state, found.error = "broken", info.problem
        return found
    found.mend = f"pip install {row.install}"
    if info.installed:
        found.state, found.version = "works", _version(row.install.partition(" ")[0])
    return found


def _fault_of(told: Mapping[str, Any]) -> str:
    return str(told.get("error") or told.get("problem", ""))


def _take(found: Library, told: Mapping[str, Any]) -> None:
    """Write down what a probe told of a library."""
    row = frameworks.row_of(found.name)
    found.version = told.get("version") or found.version
    found.seconds = told.get("seconds", 0.0)
    found.gpu = told.get("gpu", {})
    found.error = _fault_of(told)
    found.state = "broken" if found.error else "works"
    if found.state == "works":
        found.mend = ""
    elif row is not None and row.entry is None:
        found.mend = f"pip install --force-reinstall {row.install}"


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a process of pairs printed, its status, how it ended in words, and whether it was ended for being late."""

    output: str
    status: int
    ended: str
    late: bool = False


def _run(arguments: list[str], timeout: float) -> _Ran:
    try:
        ran = subprocess.run(command(_PROBE, *arguments), capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired as err:
        return _Ran(bytes(err.stdout or b"").decode(), 1, f"it took more than {timeout:g} seconds", late=True)
    return _Ran(ran.stdout, ran.returncode, f"it ended the process ({_death(ran.returncode)})")


def _together(names: list[str], timeout: float) -> tuple[dict[str, dict[str, Any]], _Ran]:
    """What one process told of all libraries, by name, and the pairs that it made: quick, where nothing is wrong."""
    ran = _run(["together", *names], timeout)
    lines = [json.loads(line) for line in ran.output.splitlines() if line.startswith('{"library":')]
    return {told["library"]: told for told in lines}, ran


def _probe(arguments: list[str], timeout: float) -> dict[str, Any]:
    """The last line that a probe printed; or how it died."""
    try:
        done = subprocess.run(command(_PROBE, *arguments), capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired:
        return {"error": f"it wasn't imported within {timeout:g} seconds"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode == 0 and lines:
        told: dict[str, Any] = json.loads(lines[-1])
        return told
    return {"error": f"importing it ended the process ({_death(done.returncode)}) {_last(done.stderr)}".strip()}


def _death(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def _pairs(names: list[str], timeout: float, first: _Ran | None) -> list[dict[str, Any]]:
    """Every pair, by as many processes as are needed: one that crashes is followed by another without that pair.

    Parameters
    ----------
    names
        The libraries.
    timeout
        What one of them may take to import; all of it may take four times as long.
    first
        What has run already.
    """
    found: list[dict[str, Any]] = []
    done: set[tuple[str, str]] = set()
    while True:
        skip = [f"{source},{target}" for source, target in sorted(done)]
        ran, first = first or _run(["pairs", *names, *skip], timeout * 4), None
        upcoming: list[str] | None = None
        for line in ran.output.splitlines():
            if not line.startswith("{") or line.startswith('{"library":'):
                continue
            told = json.loads(line)
            upcoming = told.get("next")
            if upcoming is None:
                found.append(told)
                done.add((told["source"], told["target"]))
        if ran.status == 0 or upcoming is None:
            return found
        done.add((upcoming[0], upcoming[1]))
        broken = {"source": upcoming[0], "target": upcoming[1], "route": "crashed", "ok": False, "error": ran.ended}
        found.append(broken)


def _gpu(libraries: list[Library]) -> dict[str, Any]:
    return {"driver": _driver(), **{one.name: one.gpu for one in libraries if one.gpu}}


def _driver() -> str:
    """The CUDA version that the driver speaks; empty where there is none."""
    version = ctypes.c_int()
    try:
        library = ctypes.CDLL("libcuda.so.1" if sys.platform != "win32" else "nvcuda.dll")
        failed = library.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return ""
    number = version.value
    return (
        ""
        if failed
        else f"{number // 1000}.{number % 1000 // 10}"
        + (", simulated CUDA" if hasattr(library, "cudasim_mode") else "")
    )
