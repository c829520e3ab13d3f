"""The process that runs risky checks: scripts in, one line for each that it survived out."""

from __future__ import annotations

import json
import os
import sys

from interop.testing.conformance._check import Script
from interop.testing.conformance._execute import MARK, execute


def main() -> None:
    """Run the scripts that stdin has as JSON."""
    # What scripts and libraries print goes elsewhere, also from C.
    out = os.dup(1)
    os.dup2(2, 1)
    for preamble, setup, body in json.load(sys.stdin):
        outcome, seen = execute(Script(preamble, setup, body))
        os.write(out, f"{MARK}{json.dumps([outcome.value, seen])}\n".encode())
    # Without the interpreter's end, which some script may have made dangerous.
    os._exit(0)


if __name__ == "__main__":
    main()
