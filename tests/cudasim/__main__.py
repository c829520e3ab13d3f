"""The command line: `python -m cudasim env FOLDER`, `build`, `run PROGRAM`, `real`."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from pathlib import Path


def env(arguments: argparse.Namespace) -> int:
    """Make an environment with torch, cupy and the simulated device; print its Python."""
    from cudasim import installation

    print(installation.make(arguments.folder, arguments.python))
    return 0


def build(_arguments: argparse.Namespace) -> int:
    """Build the simulated device's libraries for this environment."""
    from cudasim.libraries import cache, libraries

    libraries()
    print(cache())
    return 0


def real(_arguments: argparse.Namespace) -> int:
    """Name the real CUDA devices of this machine; fail if there are none."""
    from cudasim.real import real_devices

    names = real_devices()
    print("\n".join(names) or "no CUDA device")
    return 0 if names else 1


def run(arguments: argparse.Namespace) -> int:
    """Run a Python program on the simulated device: a file, -m MODULE or -c CODE, with its arguments."""
    import cudasim

    cudasim.boot(arguments.mode)
    # The processes that the program starts have it too.
    os.environ.update(cudasim.environment())
    first, *rest = arguments.program
    status = 0
    try:
        if first == "-c":
            sys.argv = ["-c", *rest[1:]]
            exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
        elif first == "-m":
            sys.argv = [*rest]
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [first, *rest]
            sys.path.insert(0, str(Path(first).resolve().parent))
            runpy.run_path(first, run_name="__main__")
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    return max(status, _report())


def _report() -> int:
    """Say what was simulated and what was found; 1 if anything was."""
    import cudasim

    cudasim.settle()
    found = cudasim.take_findings()
    print(f"simulated CUDA, {cudasim.mode()} mode, {cudasim.devices()} devices: {cudasim.counters()}", file=sys.stderr)
    for finding in found:
        print(f"simulated CUDA found {finding}", file=sys.stderr)
    return int(bool(found))


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(prog="python -m cudasim", description="A CUDA device simulated in host memory.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call: object) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=call.__doc__, description=call.__doc__)
        added.set_defaults(call=call)
        return added

    made = command("env", env)
    made.add_argument("folder", type=Path)
    made.add_argument("--python", default=sys.executable, help="the Python that it is made with")
    command("build", build)
    command("real", real)
    running = command("run", run)
    running.add_argument("--mode", default="lazy", choices=("eager", "lazy", "thread"))
    running.add_argument("program", nargs="*", metavar="PROGRAM ...")
    return top


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Our own words, and the program's: argparse would take a program's options for ours."""
    start = next((n for n, word in enumerate(words) if n and word in {"-c", "-m"}), None)
    if start is None:
        start = next((n for n, word in enumerate(words) if n and word.endswith(".py")), len(words))
    return (words[:start], words[start:]) if words[:1] == ["run"] else (words, [])


def main(words: list[str]) -> int:
    """Do what the command line says."""
    ours, program = split(words)
    arguments = parser().parse_args(ours)
    if program:
        arguments.program = program
    return int(arguments.call(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
