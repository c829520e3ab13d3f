"""Writes down what the pages say of this machine, anew: read the diff.

- conformance: runs the kit on the libraries of this environment. Not all can live in one: run it in each.
- matrix: makes the tables from `measured/matrix.json`, which `interop matrix` wrote.
- takers: asks numpy, pandas, scipy and others which calls take an array of bfloat16.
- pictures: draws what was measured, and what examples of the pages draw.
- versions: makes the table from `measured/versions.json`, which `make versions ARGS=--record` wrote.
- examples: runs every example of the pages, and writes what it gives now. What gives an error now and gave none before,
  or the other way round, is a fault and not a change: it is left as it is.

python docs/refresh.py [conformance] [matrix] [takers] [versions] [examples] [pictures]    all of them by default
"""

from __future__ import annotations

import doctest
import itertools
import json
import re
import sys
import textwrap
import tomllib
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts))
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WIDTH = 86


class Recorder(doctest.DocTestRunner):
    """Keeps what failed examples gave."""

    def __init__(self) -> None:
        super().__init__(optionflags=FLAGS, verbose=False)
        self.given: dict[int, str] = {}

    def report_failure(self, _out: Any, _test: Any, example: doctest.Example, got: str) -> None:
        self.given[id(example)] = got

    def report_unexpected_exception(self, _out: Any, _test: Any, example: doctest.Example, exc_info: Any) -> None:
        self.given[id(example)] = "".join(traceback.format_exception(*exc_info))


def _short(output: str) -> str:
    """An error without its stack, in lines that a page has room for."""
    first, *rest = output.splitlines()
    if not _is_error(output):
        return output
    message = " ".join(itertools.dropwhile(lambda line: line.startswith(" "), rest))
    lines = textwrap.wrap(message, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([first, *lines, ""])


def refreshed(text: str, name: str) -> str:
    runner, namespace = Recorder(), {}

    def block(found: re.Match[str]) -> str:
        test = doctest.DocTestParser().get_doctest(found[2], namespace, name, name, 0)
        runner.run(test, out=lambda _: None, clear_globs=False)
        namespace.update(test.globs)
        code = found[2]
        for example in test.examples:
            given = runner.given.get(id(example), example.want)
            old = "".join(_prompted(example.source))
            if given and _is_error(given) == _is_error(example.want):
                code = code.replace(old + example.want, old + _short(given), 1)
        # The next block's examples may be at the same addresses.
        runner.given.clear()
        return found[1] + code + found[3]

    return re.sub(r"^(```pycon\n)(.*?)^(```)$", block, text, flags=re.DOTALL | re.MULTILINE)


def _is_error(output: str) -> bool:
    return output.startswith("Traceback")


def _prompted(source: str) -> list[str]:
    first, *others = source.splitlines(keepends=True)
    return [f">>> {first}", *(f"... {line}" if line.strip() else "...\n" for line in others)]


def support_matrix() -> None:
    """The tables of what was measured."""
    from interop.cli._matrix import report, results

    measured = DOCS / "measured"
    found = results.load(measured / "matrix.json")
    (measured / "matrix.md").write_text(report.markdown(found), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(report.in_readme(readme.read_text(encoding="utf-8"), found), encoding="utf-8")


def version_table(legs: dict[str, Any]) -> str:
    """What `make versions` found, a line for each leg, and which legs it didn't run."""
    libraries = ("python", "numpy", "ml-dtypes", "torch")
    counted = ("passed", "failed", "skipped")
    lines = [
        "| leg | Python | numpy | ml_dtypes | torch | passed | failed | skipped | on |",
        "|---|---|---|---|---|--:|--:|--:|---|",
    ]
    for name, leg in legs.items():
        cells = [name, *(leg["versions"][each] for each in libraries), *(str(leg["counted"][each]) for each in counted)]
        lines.append(f"| {' | '.join(cells)} | {leg['date']} |")
    listed = tomllib.loads((ROOT / "tests" / "versions.toml").read_text(encoding="utf-8"))["legs"]
    if missing := [name for name in listed if name not in legs]:
        lines += ["", f"Not run: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def supported_versions() -> None:
    measured = DOCS / "measured"
    legs = json.loads((measured / "versions.json").read_text(encoding="utf-8"))
    (measured / "versions.md").write_text(version_table(legs), encoding="utf-8")


def conformance() -> None:
    """What the kit finds in the libraries of this environment."""
    import conformance_report

    conformance_report.main([])


def bfloat16_takers() -> None:
    """Which calls of other libraries take an array of bfloat16."""
    import takers

    found = takers.measured()
    measured = DOCS / "measured"
    (measured / "takers.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (measured / "takers.md").write_text(takers.table(found), encoding="utf-8")


def drawn_pictures() -> None:
    """What was measured, and what examples draw."""
    import pictures

    pictures.measured()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if re.search(r"^>>> .*(savefig|imwrite)\(\"", text, re.MULTILINE):
            print(page.name, *pictures.drawn_by(lambda text=text, page=page: refreshed(text, page.name)))


def examples() -> None:
    """What the pages' examples give."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = refreshed(text, page.name)
        if new != text:
            page.write_text(new, encoding="utf-8")
            print(page.relative_to(ROOT))


def main() -> None:
    parts = {
        "conformance": conformance,
        "matrix": support_matrix,
        "takers": bfloat16_takers,
        "versions": supported_versions,
        "examples": examples,
        "pictures": drawn_pictures,
    }
    unknown = set(sys.argv[1:]) - set(parts)
    if unknown:
        sys.exit(f"no part is named {', '.join(sorted(unknown))}: there are {', '.join(parts)}")
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
