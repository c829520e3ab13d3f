"""Runs the conformance kit on the libraries of this environment, and writes what it found into docs/measured.

Not all libraries can live in one environment: run it in each, and what another one found is kept.

python docs/conformance_report.py [LIBRARY ...]
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from interop.testing.conformance import CHECKS, WORLD

FOLDER = Path(__file__).parent / "measured"
DATA, PAGE = FOLDER / "conformance.json", FOLDER / "conformance.md"
OUTCOMES = ("conformant", "violation", "crash", "discouraged", "not applicable", "not tested")
SHOWN = ("violation", "crash", "discouraged")


def installed() -> list[str]:
    return [name for name in WORLD if importlib.util.find_spec(name.partition(".")[0]) and name != "cupy"]


def measured(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "interop", "conformance", name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    report: dict[str, Any] = json.loads(done.stdout)[0]
    report["date"] = datetime.now(tz=UTC).date().isoformat()
    # What is as it should be is told by the counts; of the rest the reason is worth keeping.
    report["results"] = [result for result in report["results"] if result["outcome"] != "conformant"]
    return report


def row(report: dict[str, Any]) -> str:
    counts = " | ".join(str(report["counts"].get(outcome, 0)) for outcome in OUTCOMES)
    return f"| {report['subject']} | {report['version']} | {counts} |"


def finding(result: dict[str, Any]) -> list[str]:
    spec = f"[{result['spec']}]({result['url']})"
    upstream = f" Upstream: {result['upstream']}." if result["upstream"] else ""
    seen = result["seen"].replace("`", "'").rstrip(".")
    return [
        f"**{result['check']}**, {result['outcome']}: `{seen}`",
        "",
        f"The rule: {result['rule']} ({spec}).{upstream}",
        "",
        "```python",
        result["reproducer"].rstrip(),
        "```",
        "",
    ]


def page(reports: list[dict[str, Any]]) -> str:
    lines = [
        f"{len(CHECKS)} checks, of which a library without a side or a feature meets fewer.",
        "",
        f"| library | version | {' | '.join(OUTCOMES)} |",
        f"|---|---|{'--:|' * len(OUTCOMES)}",
        *map(row, reports),
        "",
    ]
    for report in reports:
        found = [result for result in report["results"] if result["outcome"] in SHOWN]
        lines += [
            f"## {report['subject']} {report['version']}",
            "",
            f"Python {report['python']}, {report['date']}.",
            "",
        ]
        lines += [line for result in found for line in finding(result)]
    return "\n".join(lines).rstrip() + "\n"


def main(names: list[str]) -> None:
    reports = {each["subject"]: each for each in json.loads(DATA.read_text("utf-8"))} if DATA.exists() else {}
    for name in names or installed():
        reports[name] = measured(name)
        print(name, reports[name]["version"], reports[name]["counts"])
    ordered = [reports[name] for name in WORLD if name in reports]
    DATA.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
    PAGE.write_text(page(ordered), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
