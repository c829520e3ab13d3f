"""The documentation says what the code does: every example runs, and every name, reason and error is written about."""

import ast
import doctest
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

import interop
from interop import errors, protocols
from interop._plan import case
from interop.errors import InteropError

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = (README, *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

#: What an example names, and the module that it needs then.
NEEDS = {
    name: name
    for name in (
        *(
            "array_api_strict",
            "cupy",
            "cv2",
            "dpnp",
            "hypothesis",
            "jax",
            "matplotlib",
            "mlx",
            "paddle",
            "pandas",
            "PIL",
            "polars",
            "pyarrow",
            "scipy",
            "seaborn",
            "sklearn",
            "torch",
        ),
        *("tensorflow", "tvm_ffi", "warp", "xarray"),
        *("distributed", "mpi4py", "safetensors"),
    )
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    line: int
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\S+)[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(found[1], text.count("\n", 0, found.start()) + 1, found[2])


def missing(text: str) -> list[str]:
    words = set(re.findall(r"\w+", re.sub(r"\bto_", "", text)))
    return [module for word, module in NEEDS.items() if word in words and importlib.util.find_spec(module) is None]


def is_import(example: doctest.Example) -> bool:
    return re.match(r"import |from ", example.source) is not None


def names(examples: list[doctest.Example]) -> tuple[set[str], set[str]]:
    """Return the names that examples take from what ran before, and those that they bind or write into."""
    taken: set[str] = set()
    bound: set[str] = set()
    for example in examples:
        nodes = list(ast.walk(ast.parse(example.source)))
        loads = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        taken |= loads - bound
        for node in nodes:
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                    bound.add(name)
                case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                    bound |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
                case ast.Subscript(ctx=ast.Store(), value=ast.Name(id=name)):
                    bound.add(name)
                case _:
                    pass
    return taken, bound


def as_a_reader_has_it() -> AbstractContextManager[object]:
    """With jax's 64-bit types off, which other tests of this process have switched on."""
    jax: Any = sys.modules.get("jax")
    return nullcontext() if jax is None else jax.enable_x64(False)


@pytest.mark.parametrize("page", [page for page in PAGES if "```pycon" in page.read_text()], ids=name_of)
def test_the_examples_of_a_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an example writes, a picture for one, is written here.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    # One namespace a page, as a reader has it. What needs a module that isn't there is left out, but for what else it
    # imports, and so is what uses what was left out.
    namespace: dict[str, Any] = {}
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failures: list[str] = []
    lost: set[str] = set()
    ran = 0
    for block in blocks(page):
        if block.language != "pycon":
            continue
        test = doctest.DocTestParser().get_doctest(block.text, namespace, name_of(page), name_of(page), block.line)
        taken, bound = names(test.examples)
        if missing(block.text) or taken & lost:
            test.examples = [each for each in test.examples if is_import(each) and not missing(each.source)]
            lost |= bound - names(test.examples)[1]
        else:
            ran += len(test.examples)
            lost -= bound
        with as_a_reader_has_it():
            runner.run(test, out=failures.append, clear_globs=False)
        namespace = test.globs
    assert not failures, "".join(failures)
    if not ran:
        pytest.skip("what every example of the page needs is not installed")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_that_is_only_shown_is_code(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, name_of(page), "exec")


#: Words by which an example tells that it cuts a gradient.
CUTS = re.compile(r"\b(cuts?|without|lose)\W+(the|its) (graph|gradient)|\b(graph|gradient) (is|would be) (cut|lost)")


def texts_with_examples() -> Iterator[tuple[str, str]]:
    """Return every example with the paragraphs around it: blocks of pages, and docstrings."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(?:pycon|python)\n.*?^```$", text, re.DOTALL | re.MULTILINE):
            before, after = text[: found.start()].rstrip(), text[found.end() :].lstrip()
            around = before[before.rfind("\n\n") + 1 :], found[0], after.partition("\n\n")[0]
            yield name_of(page), "\n".join(around)
    for path in sorted((ROOT / "interop").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if ">>>" in text:
                    yield name_of(path), text


def test_an_example_that_cuts_a_gradient_says_so() -> None:
    cutting = [(place, text) for place, text in texts_with_examples() if "detach=True" in text]
    assert len(cutting) > 5
    for place, text in cutting:
        assert CUTS.search(" ".join(text.split())), f"an example of {place} cuts a gradient without a word:\n{text}"


def gives_back(node: ast.FunctionDef) -> bool:
    """Whether a function of one argument gives its caller's kind back, and doesn't say that it cuts the graph."""
    text = ast.unparse(node)
    decorated = "interop.via(" in text and "grad=" not in text
    return len(node.args.args) == 1 and (decorated or ("convert_like(" in text and "to_numpy(" in text))


def agnostic_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Return the functions of the pages that give back what the caller passed."""
    for page in PAGES:
        for block in blocks(page):
            examples = doctest.DocTestParser().get_examples(block.text) if block.language == "pycon" else []
            for source in (block.text,) if block.language == "python" else (each.source for each in examples):
                for node in ast.parse(source).body:
                    if isinstance(node, ast.FunctionDef) and gives_back(node):
                        yield name_of(page), node


def test_an_agnostic_function_of_a_page_cuts_no_gradient() -> None:
    torch = pytest.importorskip("torch")
    found = list(agnostic_functions())
    assert found
    for place, node in found:
        namespace: dict[str, Any] = {"interop": interop, "np": np, "torch": torch}
        exec(ast.unparse(node), namespace)
        try:
            result = namespace[node.name](torch.zeros(2, requires_grad=True))
        except interop.GradientError:
            continue
        assert result.requires_grad, f"{node.name} of {place} cuts its caller's gradient"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"https?:", target):
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            assert other.exists(), f"{name_of(page)} links to {target}"
            if anchor:
                assert anchor in anchors(other), f"{name_of(page)} links to {target}, which has {anchors(other)}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pictures_are_there() -> None:
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{name_of(page)} shows {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if "_static/examples/" in page.read_text()], ids=name_of)
def test_a_picture_of_an_example_is_made_by_one(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    drawn = re.findall(r"(?:savefig|imwrite)\(\"([^\"]+)\"", text)
    assert set(drawn) == set(re.findall(r"!\[[^\]]+\]\(_static/examples/([^)]+)\)", text))


def test_no_picture_of_an_example_is_left_over() -> None:
    shown = {
        name for page in PAGES for name in re.findall(r"_static/examples/([^)]+)\)", page.read_text(encoding="utf-8"))
    }
    assert shown == {each.name for each in (DOCS / "_static" / "examples").iterdir()}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of memory is Linux's")
def test_the_program_for_data_larger_than_memory_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (program,) = programs(DOCS / "big-data.md")
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path), "16"],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    assert "16 MB standardised, the first column's mean is 0.0000" in done.stdout, done.stderr


def flat(page: Path) -> str:
    return " ".join(page.read_text(encoding="utf-8").split())


def literals(node: ast.AST) -> list[str]:
    """What is constant in a string or an f-string."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return [part.value.strip() for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def reasons() -> Iterator[str]:
    """Every text that a plan gives as the reason of a copy, without its variable parts."""
    assert case.__file__ is not None
    tree = ast.parse(Path(case.__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Yield) and node.value is not None:
            yield from literals(node.value)
    yield from case.PENDING.values()
    yield from case._STRIDES.values()


@pytest.mark.parametrize("reason", sorted({text for text in reasons() if len(text) > 3}))
def test_each_reason_of_a_copy_is_explained(reason: str) -> None:
    assert reason in flat(DOCS / "why-copy.md")


def test_the_reasons_were_found() -> None:
    found = set(reasons())
    assert "assumes that memory it was given never changes, and this is writable" in found
    assert len([text for text in found if len(text) > 3]) > 15


@pytest.mark.parametrize("error", sorted(name for name in errors.__all__ if name != "InteropError"))
def test_each_error_has_its_part(error: str) -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert f"## {error}\n" in page
    row = next(line for line in page.splitlines() if line.startswith("| {class}`~interop." + error))
    builtins = {base.__name__ for base in getattr(errors, error).__bases__ if base is not InteropError}
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == builtins


def programs(page: Path) -> list[str]:
    """The complete programs of a page: what they print they measured."""
    return [block.text for block in blocks(page) if block.language == "python" and "__main__" in block.text]


def documented(module: ModuleType, *pages: str) -> list[str]:
    found: list[str] = []
    for page in pages:
        current = ""
        for line in (DOCS / "reference" / page).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                current = match[1]
            elif current == module.__name__ and (match := re.match(r"\.\. auto(?!module)\w+:: (\w+)", line)):
                found.append(match[1])
    return found


@pytest.mark.parametrize(
    ("module", "pages"),
    [
        (interop, ("conversion.md", "agnostic.md", "inspection.md", "types.md", "errors.md", "adapters.md")),
        (protocols, ("protocols.md",)),
        (importlib.import_module("interop.testing"), ("testing.md",)),
    ],
    ids=lambda value: value.__name__ if isinstance(value, ModuleType) else "",
)
def test_the_reference_has_every_public_name_once(module: ModuleType, pages: tuple[str, ...]) -> None:
    assert sorted(documented(module, *pages)) == sorted(module.__all__)


@pytest.mark.parametrize("name", interop.__all__)
def test_each_public_name_has_a_docstring(name: str) -> None:
    assert (getattr(interop, name).__doc__ or "").strip()


def test_every_page_is_in_the_contents() -> None:
    for index in (DOCS / "index.md", DOCS / "reference" / "index.md"):
        contents = [block.text.splitlines() for block in blocks(index) if block.language == "{toctree}"]
        listed = {line for lines in contents for line in lines}
        for page in index.parent.glob("*.md"):
            assert page == index or page.stem in listed, f"{name_of(page)} is in no table of contents"


def test_the_targets_that_the_readme_names_are_there() -> None:
    text = README.read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:\$ |`)make ([a-z]+)", text)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target
