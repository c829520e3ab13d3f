"""The table of who takes bfloat16 says what the libraries do, in the versions that it names."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def loaded() -> Any:
    """The module beside the pages, which makes their table."""
    spec = importlib.util.spec_from_file_location("takers", DOCS / "takers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


takers = loaded()
RECORDED = json.loads((DOCS / "measured" / "takers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("taker", takers.TAKERS, ids=lambda taker: f"{taker.library} {taker.shown}")
def test_a_call_answers_as_recorded(taker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    recorded = RECORDED[f"{taker.library} {taker.shown}"]
    if not takers.is_here(taker):
        pytest.skip(f"{taker.library} isn't installed")
    if (here := importlib.metadata.version(taker.distribution)) != recorded["version"]:
        pytest.skip(f"{taker.library} is {here} here, and was {recorded['version']}")
    assert takers.ask(taker)[0] == recorded["answer"]


def test_the_page_has_the_recorded_table() -> None:
    assert (DOCS / "measured" / "takers.md").read_text(encoding="utf-8") == takers.table(RECORDED)
