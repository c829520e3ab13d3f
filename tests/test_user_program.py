"""A user's program is clean under strict type checkers, with torch and with no framework at all.

mypy is asked of the program without a framework only: with torch `make lint` does, for which it is one of the tests.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent / "typing"

OPTIONS = ("device=", "dtype=", "order=", "copy=", "writable=", "detach=", "stream=")

#: What pyright is asked for: all that it knows. A comment of its own that hides no error is one; mypy's don't count.
STRICT = {
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    "enableTypeIgnoreComments": False,
    "reportUnnecessaryTypeIgnoreComment": "error",
}


def environment(folder: Path, packages: Iterable[str]) -> Path:
    """An interpreter whose environment has nothing but these packages."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in packages:
        found = importlib.import_module(name).__file__
        assert found is not None
        (site / name).symlink_to(Path(found).parent, target_is_directory=True)
    return folder / "bin" / "python"


def laid_out(folder: Path, programs: list[str], frameworks: Iterable[str] = ()) -> Path:
    """The interpreter, beside copies of the programs, which lie where no configuration of ours is found."""
    for name in frameworks:
        pytest.importorskip(name)
    python = environment(folder / "environment", ["interop", "numpy", "ml_dtypes", *frameworks])
    for name in programs:
        shutil.copy(HERE / name, folder)
    return python


def said_by(module: str, *arguments: str, cwd: Path) -> str:
    pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_mypy_finds_nothing_without_a_framework(tmp_path: Path) -> None:
    python = laid_out(tmp_path, ["program.py"])
    options = ("--strict", "--python-version", "3.11", "--python-executable", str(python))
    assert said_by("mypy", *options, "program.py", cwd=tmp_path).startswith("Success")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("programs", "frameworks"),
    [(["program.py"], []), (["program.py", "with_torch.py"], ["torch"])],
    ids=["without a framework", "with torch"],
)
def test_pyright_finds_nothing(programs: list[str], frameworks: list[str], tmp_path: Path) -> None:
    python = laid_out(tmp_path, programs, frameworks)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**STRICT, "include": programs}), encoding="utf-8")
    said = said_by("pyright", "--pythonpath", str(python), cwd=tmp_path)
    assert said.strip().endswith("0 errors, 0 warnings, 0 informations")


#: What a user has typed of a call, and where its arguments go on.
TYPED = {
    "interop.to_torch(a, )": OPTIONS,
    'interop.convert(a, "jax", )': OPTIONS,
    "interop.convert_like(a, a, )": OPTIONS,
    'interop.explain(a, "numpy", )': OPTIONS,
    'interop.to_numpy(a, dtype="")': ('"bfloat16"', '"float32"', '"nearest"'),
}


def framed(identity: int | None, method: str, **parameters: Any) -> bytes:
    told = {"jsonrpc": "2.0", "method": method, "params": parameters} | ({} if identity is None else {"id": identity})
    body = json.dumps(told).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def answers(stream: IO[bytes], wanted: Iterable[int]) -> dict[int, Any]:
    """What a language server answers to these questions, by their numbers."""
    found: dict[int, Any] = {}
    while not set(wanted) <= set(found):
        head = stream.readline()
        assert head, "the server ended"
        length = int(head.partition(b":")[2])
        while stream.readline().strip():
            pass
        told = json.loads(stream.read(length))
        if "result" in told:
            found[told["id"]] = told["result"]
    return found


@pytest.mark.slow
def test_an_editor_completes_the_keywords_and_the_names_of_element_types(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    laid_out(tmp_path, [])
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"venvPath": ".", "venv": "environment"}), encoding="utf-8")
    lines = ["import interop", "import numpy as np", "a = np.ones(3)", *TYPED]
    root, uri = tmp_path.as_uri(), (tmp_path / "typed.py").as_uri()
    folders, document = [{"uri": root, "name": ""}], {"uri": uri, "languageId": "python", "version": 1}
    asked = [
        framed(0, "initialize", processId=None, rootUri=root, capabilities={}, workspaceFolders=folders),
        framed(None, "initialized"),
        framed(None, "textDocument/didOpen", textDocument={**document, "text": "\n".join(lines)}),
    ]
    places = {number: lines[number].rindex(")") - lines[number].endswith('")') for number in range(3, len(lines))}
    for line, character in places.items():
        place = {"line": line, "character": character}
        asked.append(framed(line, "textDocument/completion", textDocument={"uri": uri}, position=place))
    command = [sys.executable, "-P", "-c", "from pyright.langserver import entrypoint; entrypoint()", "--stdio"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(b"".join(asked))
        server.stdin.flush()
        found = answers(server.stdout, places)
        server.stdin.write(framed(100, "shutdown") + framed(None, "exit"))
    for line, wanted in zip(places, TYPED.values(), strict=True):
        offered = {item["label"] for item in found[line]["items"]}
        assert offered >= set(wanted), lines[line]
