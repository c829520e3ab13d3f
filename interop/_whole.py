"""Whether this package is whole: another distribution installs one of the same name.

Illumina's ``interop`` has an ``interop/__init__.py`` and an ``interop/__main__.py`` too. pip overwrites either with the
other without a word, and takes both away when one is uninstalled. What is left of ours says so.
"""

from __future__ import annotations

import sys
from typing import Final

#: The two distributions whose package is called interop.
OURS: Final = "tensor-interop"
NAMESAKE: Final = "interop"

MEND: Final = f"pip uninstall {NAMESAKE}, then pip install --force-reinstall --no-deps {OURS}"


def fault() -> str:
    """What has become of the package's own file, and what to do; empty where it is ours."""
    package = sys.modules["interop"]
    if vars(package).get("__distribution__") == OURS:
        return ""
    file = vars(package).get("__file__")
    what = f"{file} isn't {OURS}'s" if file else f"the __init__.py of {OURS} is gone"
    return (
        f"{what}: the distribution {NAMESAKE!r} (Illumina's, for sequencing data) installs a package of the same name, "
        f"and pip lets one overwrite the other. {MEND}. The two can't share an environment."
    )


def check() -> None:
    """Refuse to be imported as a part of somebody else's package.

    Raises
    ------
    ImportError
        If the package's own file isn't ours.
    """
    found = fault()
    if found:
        raise ImportError(found, name="interop")
