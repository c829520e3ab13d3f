"""The process that runs risky checks: scripts in, one line for each that it survived out."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from interop.testing.conformance._execute import MARK, execute
from interop.testing.conformance._script import Script


def main() -> None:
    """Run the scripts that stdin has as JSON."""
    # What scripts and libraries print goes elsewhere, also from C.
    out = os.dup(1)
    os.dup2(2, 1)
    scripts = [Script(*parts) for parts in json.load(sys.stdin)]
    # The library is imported first, which may take longer than a check: then comes the first line.
    with suppress(BaseException):
        exec(scripts[0].preamble, {})  # noqa: S102 - a check is a script: it comes from our own process
    os.write(out, f"{MARK}ready\n".encode())
    for script in scripts:
        ending = execute(script)
        os.write(out, f"{MARK}{json.dumps([ending.outcome.value, ending.seen, ending.line])}\n".encode())
    # Without the interpreter's end, which some script may have made dangerous.
    os._exit(0)


if __name__ == "__main__":
    main()
