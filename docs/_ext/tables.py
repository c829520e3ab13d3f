"""Tables that are made from the library itself, when the documentation is built."""

from __future__ import annotations

import importlib
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def dtype_rows() -> Iterable[Sequence[str]]:
    """One row an element type: its name, its size, and what happens in each direction, as ``explain`` says."""
    import numpy as np
    import torch

    from interop._dtypes import ROWS

    # torch says so of complex32 when it first makes one.
    warnings.filterwarnings("ignore", message="ComplexHalf support is experimental")
    for row in ROWS:
        there = "numpy has none"
        if row.numpy is not None:
            there = _verdict(np.zeros(2, row.numpy), "torch")
        native = getattr(torch, row.name, None)
        back = "torch has none"
        if isinstance(native, torch.dtype):
            back = _verdict(torch.empty(2, dtype=native), "numpy")
        yield f"`{row.name}`", str(row.bits * row.lanes), there, back


def _verdict(x: Any, target: str) -> str:
    import interop

    plan = interop.explain(x, target)
    if plan.ok:
        return "view" if plan.zero_copy else "copy"
    named = str(plan.error).rpartition("dtype='")[2].partition("'")[0] if "dtype='" in str(plan.error) else ""
    return f'refused; `dtype="{named}"`' if named else "refused"


def device_rows() -> Iterable[Sequence[str]]:
    """One row a device type: its name, DLPack's number, and whether the host can read it by pointer."""
    from interop._devices import HOST_ACCESSIBLE, NAMES

    for number, name in NAMES.items():
        yield f"`{name}`", str(number), "yes" if number in HOST_ACCESSIBLE else "no"


class Table(Directive):
    """A table without content of its own."""

    headings: Sequence[str]

    def rows(self) -> Iterable[Sequence[str]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        try:
            rows = list(self.rows())
        except ImportError as err:
            return [nodes.paragraph("", f"(Left out: {err}, where this was built.)")]
        group = nodes.tgroup(cols=len(self.headings))
        group.extend(nodes.colspec(colwidth=1) for _ in self.headings)
        head, body = nodes.thead(), nodes.tbody()
        head.append(_row(self.headings))
        body.extend(map(_row, rows))
        group.extend((head, body))
        table = nodes.table("", group, classes=["colwidths-auto"])
        return [nodes.container("", table, classes=["table-wrapper"])]


def _row(cells: Sequence[Any]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *_inline(cell))) for cell in cells))


def _inline(text: str | nodes.Node) -> Iterable[nodes.Node]:
    if isinstance(text, nodes.Node):
        yield text
        return
    for number, part in enumerate(text.split("`")):
        if part:
            yield nodes.literal(part, part) if number % 2 else nodes.Text(part)


class DtypeTable(Table):
    headings = ("element type", "bits", "numpy to torch", "torch to numpy")
    rows = staticmethod(dtype_rows)


class DeviceTable(Table):
    headings = ("name", "DLPack's number", "memory that the host can read")
    rows = staticmethod(device_rows)


class SummaryTable(Table):
    """The names on a page of the reference, each with the first line of its docstring."""

    headings = ("", "what it is")
    required_arguments = 1

    def rows(self) -> Iterable[Sequence[Any]]:
        page = Path(self.state.document.current_source).parent / f"{self.arguments[0]}.md"
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if found := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = found[1]
            elif found := re.match(r"\.\. auto(?:function|class|exception|data):: (\w+)", line):
                yield _link(module, found[1]), _summary(module, found[1])


def _link(module: str, name: str) -> nodes.Node:
    link = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=f"{module}.{name}", refexplicit=True)
    link += nodes.literal(name, name)
    return link


def _summary(module: str, name: str) -> str:
    found = getattr(importlib.import_module(module), name)
    # What is no class and no function has its type's docstring, which says nothing of it.
    text = "" if isinstance(found, (int, tuple, frozenset, dict)) else found.__doc__ or ""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.strip().partition("\n\n")[0].split()))
    return re.sub(r"`+", "`", text)


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("summary-table", SummaryTable)
    app.add_directive("dtype-table", DtypeTable)
    app.add_directive("device-table", DeviceTable)
    return {"parallel_read_safe": True}
