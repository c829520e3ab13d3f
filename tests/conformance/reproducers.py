"""Whether what is printed shows what was seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from interop.testing._capsules import immortal
from interop.testing.conformance import Outcome, Result

#: The programs' namespaces: C may still call what is in them.
_kept: list[dict[str, Any]] = immortal([])


def not_shown(results: Iterable[Result]) -> dict[str, str]:
    """Run the reproducers of violations here; return the errors of those that show another one than was reported.

    Those of checks that processes have died of are run in others elsewhere.
    """
    wrong: dict[str, str] = {}
    for result in results:
        if result.check.risky or result.outcome is Outcome.CRASH:
            continue
        namespace: dict[str, Any] = {"__name__": "__main__"}
        if "ctypes" in result.reproducer:
            _kept.append(namespace)
        try:
            with warnings.catch_warnings(action="ignore"):
                exec(compile(result.reproducer, result.name, "exec"), namespace)
            ending = "it ends without an error"
        except BaseException as error:
            ending = f"{type(error).__name__}: {error}"
        # The end of the message may be addresses and the like.
        if result.seen[:25] not in " ".join(ending.split()):
            wrong[result.name] = ending
    return wrong
