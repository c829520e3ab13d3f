"""A pytest plugin that writes down each test's begin and end at once, for a process that may be killed in between."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

#: Of tests that may break the device for all that come after: in their names.
RISKY = ("destroy", "freed", "host_function", "fork", "out_of_bounds", "stuck", "crash", "process_of_its_own")

#: As in on_gpu.py: the context is broken, and a new process goes on.
BROKEN = 97


def _write(**event: Any) -> None:
    with Path(os.environ["ON_GPU_EVENTS"]).open("a", encoding="utf-8") as events:
        events.write(json.dumps(event) + "\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has run already; what is risky comes last."""
    done = set(Path(os.environ["ON_GPU_SKIP"]).read_text(encoding="utf-8").splitlines())
    gone = [item for item in items if item.nodeid in done]
    if gone:
        config.hook.pytest_deselected(items=gone)
    items[:] = sorted(
        (item for item in items if item.nodeid not in done),
        key=lambda item: any(word in item.nodeid for word in RISKY),
    )


def pytest_runtest_logstart(nodeid: str) -> None:
    _write(begins=nodeid)


_found: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst of a test's three parts."""
    if report.when == "call" or report.outcome != "passed":
        before = _found.get(report.nodeid, ("passed", ""))
        if before[0] != "failed":
            why = "" if report.outcome == "passed" else str(report.longrepr)[-400:]
            _found[report.nodeid] = (report.outcome, why)


def pytest_runtest_logfinish(nodeid: str) -> None:
    result, why = _found.pop(nodeid, ("passed", ""))
    _write(test=nodeid, result=result, why=why)
    if result == "failed" and _is_broken():
        os._exit(BROKEN)


def _is_broken() -> bool:
    """Whether the device refuses everything from now on, as it does after an illegal access."""
    import torch

    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False
