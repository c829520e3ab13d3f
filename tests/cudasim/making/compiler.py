"""The C compiler's few calls."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

CC = shlex.split(os.environ.get("CC", "gcc"))
CXX = shlex.split(os.environ.get("CXX", "g++"))

#: Lenient, for what is generated: a stub has no prototype and no parameters, whatever its real ones are.
GENERATED = ["-O1", "-fPIC", "-fno-builtin", "-w"]


class CompilerError(RuntimeError):
    """The compiler refused; the message holds all that it said."""


def run(command: list[str], cwd: Path | None = None) -> str:
    """Run a command and give what it printed."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
        )
    except FileNotFoundError as error:
        raise CompilerError(
            f"{command[0]} isn't here: the simulated device is compiled on the spot, by gcc and g++"
        ) from error
    if done.returncode:
        raise CompilerError(f"{shlex.join(command)}\n{done.stdout}")
    return done.stdout


def stand_in(source: str, script: str, into: Path) -> None:
    """Compile `source` to the shared library `into`, of that name; `script` gives its symbols their versions."""
    with tempfile.TemporaryDirectory() as folder:
        code, versions = Path(folder, "code.c"), Path(folder, "versions.map")
        code.write_text(source, encoding="utf-8")
        versions.write_text(script, encoding="utf-8")
        scripted = [f"-Wl,--version-script={versions}"] if script else []
        run([*CC, *GENERATED, "-shared", str(code), "-o", str(into), f"-Wl,-soname,{into.name}", *scripted])
