"""The page about GPU handoff says what the code does: its examples run, one after the other, as a reader has them."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "gpu.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation was left behind")
def test_the_examples_of_the_page(torch: Any, cupy: Any) -> None:
    text = PAGE.read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    found = list(re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert found
    for block in found:
        # The line numbers of the page, for a traceback that leads there.
        above = "\n" * (text.count("\n", 0, block.start()) + 1)
        exec(compile(above + block[1], str(PAGE), "exec"), namespace)
