"""What the page of upstream faults says of other libraries is what they do, in the versions that it names."""

from __future__ import annotations

import importlib.metadata
import json
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from patience import PATIENCE

PAGE = Path(__file__).parent.parent / "docs" / "upstream.md"

#: A heading, the version, how the program ends, and the program.
FAULT = re.compile(
    r"([^\n]+)\n\n\*(\S+) (\S+)\* · (?:ends by `(\w+)`|(never ends)).*?\n```python\n(.*?)^```", re.DOTALL | re.MULTILINE
)

#: Runs programs one after the other, and prints by which exception each ended.
RUNNER = """
import json, sys, warnings
warnings.simplefilter("ignore")
for name, program in json.load(sys.stdin):
    try:
        exec(compile(program, name, "exec"), {})
    except Exception as err:
        print(json.dumps([name, type(err).__name__]))
    else:
        print(json.dumps([name, ""]))
"""


@dataclass(frozen=True)
class Fault:
    title: str
    distribution: str
    version: str
    ends: str
    program: str

    def missing(self) -> str:
        """Why the program can't show anything here, or nothing."""
        if self.distribution == "python":
            return "" if sys.version.startswith(f"{self.version}.") else "another Python"
        try:
            here = importlib.metadata.version(self.distribution).partition("+")[0]
            modules = set(re.findall(r"^(?:import|from) ([^\n]+?)(?: import|$)", self.program, re.MULTILINE))
            for module in ",".join(modules).split(","):
                importlib.metadata.version(NAMES.get(name := module.split()[0].partition(".")[0], name))
        except importlib.metadata.PackageNotFoundError as err:
            return f"{err.args[0]} isn't installed"
        return "" if here == self.version else f"this is {here}"


#: Distributions by the module that a program imports; none for the standard library's.
NAMES = {
    **dict.fromkeys(("io", "ctypes", "contextlib", "multiprocessing"), "pytest"),
    "array_api_compat": "array-api-compat",
    "mlx": "mlx",
    "tvm_ffi": "apache-tvm-ffi",
    "warp": "warp-lang",
    "paddle": "paddlepaddle",
    "tensorflow": "tensorflow-cpu",
}


def faults() -> list[Fault]:
    found = []
    for part in PAGE.read_text(encoding="utf-8").split("\n### ")[1:]:
        match = FAULT.match(part)
        assert match, f"the page doesn't say how this ends, or of which version:\n{part[:200]}"
        found.append(Fault(match[1], match[2], match[3], match[4] or match[5], match[6]))
    return found


FAULTS = faults()


@cache
def endings() -> dict[str, str]:
    """How the programs end that don't take their process along: all that can run here, in one."""
    asked = [(each.title, each.program) for each in FAULTS if not each.missing() and each.ends.endswith("Error")]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith('["'))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.title)
def test_a_fault_is_as_the_page_says(fault: Fault) -> None:
    if missing := fault.missing():
        pytest.skip(missing)
    if fault.ends == "never ends":
        pytest.skip("it never ends")
    if fault.ends.startswith("SIG"):
        done = subprocess.run([sys.executable, "-c", fault.program], capture_output=True, check=False, timeout=PATIENCE)
        assert done.returncode == -signal.Signals[fault.ends], done.stderr.decode()[-500:]
    else:
        assert endings()[fault.title] == fault.ends, "mended, or broken in another way: the page has to say so"


def test_the_table_has_each_fault() -> None:
    rows = re.findall(r"^\| \[[^]]+\]\(#([^)]+)\)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(set(rows)) == len(FAULTS)
