"""Run the tests of the Cython core with the sanitizers of addresses and of undefined behaviour: ``make sanitize``.

The core is compiled once more, into ``build/sanitized``, beside a copy of the package's Python files; the core in place
stays as it is. A report of a sanitizer ends its process, and is written to a file too: a test may start processes and
not look at how they end, and forked children leave nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "sanitized"
PACKAGE = BUILD / "package"
REPORTS = BUILD / "reports"

#: Python's own flags come before these, and -fwrapv among them would make every overflow a defined one.
FLAGS = "-O1 -g -fno-wrapv -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"

#: What tests of the core there are, beside those that are named for it.
TESTS = (
    *("test_attacks.py", "test_lifetime.py", "test_producers.py", "test_stress.py", "test_threads.py"),
    "test_fuzz.py::test_three_thousand_calls",
)

#: What asks the allocator for memory that was given back, which a sanitizer keeps to see who still reads it.
ASKING_FOR_MEMORY = (
    "tests/test_native_doors.py::test_types_that_die_leave_no_entry_to_their_successors",
    "tests/test_lifetime.py::test_nothing_leaks_over_many_cycles",
)

#: The libraries that have to be there before any other: torch's exceptions are thrown through those of C++.
PRELOADED = ("libasan.so", "libubsan.so", "libstdc++.so")

#: Of a report that are printed: the stack of what was done, and of who had the memory.
LINES = 80

#: What a sanitizer has to find, or the run proves nothing: the name of its function, an argument, what the report says.
CANARIES = {
    "overflow": (2**63 - 1, "__ubsan_handle_add_overflow_abort"),
    "beyond": (8, "heap-buffer-overflow"),
    "freed": (0, "heap-use-after-free"),
}

CANARY = """
#include <stdint.h>
#include <stdlib.h>
int64_t overflow(int64_t n) { return n + 1; }
int64_t beyond(int64_t n) { char *volatile p = malloc(8); int64_t found = p[n]; free(p); return found; }
int64_t freed(int64_t n) { char *volatile p = malloc(8); free(p); return p[n]; }
"""

CALL = "import ctypes, sys; getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])(ctypes.c_int64(int(sys.argv[3])))"


class Unable(Exception):
    """Why nothing can be said of the core here."""


def compiler() -> str:
    configured = sysconfig.get_config_var("CC") or "cc"
    return (os.environ.get("CC") or configured).split()[0]


def preloaded() -> str:
    """The sanitizers' libraries, as the dynamic linker takes them."""
    found: list[str] = []
    for name in PRELOADED:
        done = subprocess.run([compiler(), f"-print-file-name={name}"], check=True, capture_output=True, text=True)
        path = Path(done.stdout.strip())
        # A compiler that doesn't have it gives the name back.
        if not path.is_absolute():
            msg = f"{compiler()} has no {name}: the sanitizers need gcc and its libraries, on Linux"
            raise Unable(msg)
        found.append(str(path.resolve()))
    return " ".join(found)


def options(reports: Path) -> dict[str, str]:
    """The environment in which the sanitizers look, and write what they find into a folder."""
    asan = {
        # Python itself leaves much behind.
        "detect_leaks": 0,
        "detect_stack_use_after_return": 1,
        # torch brings symbols twice, and frees what it has by new with free.
        "detect_odr_violation": 0,
        "alloc_dealloc_mismatch": 0,
        # That nobody has so much memory is tested too.
        "allocator_may_return_null": 1,
        # Their reports say more than Python's own handlers.
        "handle_segv": 2,
        "handle_abort": 2,
    }
    common = {"halt_on_error": 1, "log_path": reports / "report"}
    # It would write a file of its own, but with both libraries loaded its path is set in the other one. So it says what
    # it found on stderr and ends the process, and where it was is in the other's report of that.
    ubsan = {"print_stacktrace": 1, "abort_on_error": 1}
    joined = [":".join(f"{name}={value}" for name, value in (each | common).items()) for each in (asan, ubsan)]
    return {
        "ASAN_OPTIONS": joined[0],
        "UBSAN_OPTIONS": joined[1],
        "LD_PRELOAD": preloaded(),
        # Every object a block of its own; and the package of this folder isn't what is tested.
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(PACKAGE),
        "PYTHONSAFEPATH": "1",
    }


def build() -> None:
    """Compile the core, and lay the package round it."""
    built = BUILD / "built"
    places: list[str | Path] = ["--build-lib", built, "--build-temp", BUILD / "objects"]
    command = [sys.executable, "setup.py", "-q", "build_ext", *places]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"INTEROP_CORE_FLAGS": FLAGS})
    shutil.rmtree(PACKAGE, ignore_errors=True)
    shutil.copytree(ROOT / "interop", PACKAGE / "interop", ignore=shutil.ignore_patterns("*.so", "*.c", "__pycache__"))
    for library in (built / "interop" / "_native").glob("*.so"):
        shutil.copy2(library, PACKAGE / "interop" / "_native")


class Found(NamedTuple):
    """A sanitizer's report."""

    file: Path
    text: str


def found(reports: Path) -> list[Found]:
    """The reports of faults; that there is no memory for so much is written there too."""
    files = [Found(path, path.read_text(errors="replace")) for path in sorted(reports.glob("report*"))]
    return [each for each in files if "ERROR: " in each.text]


def check_canaries() -> None:
    """See that each kind of fault is found, and ends its process, in a library compiled as the core is."""
    source, library = BUILD / "canary.c", BUILD / "canary.so"
    source.write_text(CANARY)
    flags = [*(sysconfig.get_config_var("CFLAGS") or "").split(), *FLAGS.split()]
    subprocess.run([compiler(), *flags, "-shared", "-fPIC", "-o", library, source], check=True)
    for name, (argument, wanted) in CANARIES.items():
        reports = fresh(BUILD / "canaries" / name)
        command: list[str | Path] = [sys.executable, "-c", CALL, library, name, str(argument)]
        done = subprocess.run(command, check=False, capture_output=True, env=os.environ | options(reports))
        if done.returncode == 0 or not any(wanted in report.text for report in found(reports)):
            said = done.stderr.decode(errors="replace")
            msg = f"the sanitizers don't notice the canary {name!r}, which exits with {done.returncode}:\n{said}"
            raise Unable(msg)


def check_core(env: dict[str, str]) -> None:
    """See that the core that is loaded is the one that was compiled for this."""
    code = "import interop._native._view as core; print(core.__file__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env, cwd=ROOT)
    if not Path(done.stdout.strip()).is_relative_to(PACKAGE):
        msg = f"the core that is loaded is {done.stdout.strip()}"
        raise Unable(msg)


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main(arguments: list[str]) -> int:
    """Build, look that the sanitizers see, and run the tests; what pytest takes goes through to it."""
    try:
        build()
        check_canaries()
        env = os.environ | {"HYPOTHESIS_PROFILE": "brief"} | options(fresh(REPORTS))
        check_core(env)
    except Unable as err:
        print(f"sanitize: {err}", file=sys.stderr)
        return 2
    tests = [*sorted((ROOT / "tests").glob("test_native_*.py")), *(ROOT / "tests" / name for name in TESTS)]
    left_out = [f"--deselect={test}" for test in ASKING_FOR_MEMORY]
    # The slow ones count memory, as those do.
    chosen = ["-m", "not packaging and not slow", *left_out, *arguments]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, *tests], check=False, cwd=ROOT, env=env
    ).returncode
    reports = found(REPORTS)
    for report in reports:
        beginning = "\n".join(report.text.splitlines()[:LINES])
        print(f"\n== {report.file.relative_to(ROOT)}\n{beginning}")
    print(f"\nsanitizers: {len(reports)} reports" + (f", in {REPORTS.relative_to(ROOT)}" if reports else ""))
    return status or bool(reports)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
