"""What has been measured before, by the versions of everything that it depends on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import interop
from interop.cli._matrix.hands import ROWS, version
from interop.cli._matrix.results import FORM, Pair

if TYPE_CHECKING:
    from collections.abc import Sequence


def folder() -> Path:
    """Where results are kept unless another folder is named."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interop" / "matrix"


@cache
def source_hash() -> str:
    """A hash over every file of this library, the compiled core and this command among them."""
    digest = hashlib.sha256()
    root = Path(interop.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".so", ".pyd"):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def versions(names: Sequence[str]) -> dict[str, str]:
    """The versions that the results of these kinds of arrays depend on."""
    import ml_dtypes
    import numpy as np

    found = {ROWS[name].distribution: version(name) for name in names}
    return {"numpy": np.__version__, "ml-dtypes": ml_dtypes.__version__, **found}


def key(source: str, target: str, dtypes: Sequence[str] | None, layouts: Sequence[str] | None) -> str:
    """What names the result of a pair: all that it depends on."""
    parts = {
        "form": FORM,
        "interop": source_hash(),
        "versions": versions((source, target)),
        "python": [sys.version, platform.machine(), platform.system()],
        "cells": [dtypes, layouts],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Cache:
    """A folder of results, one file a pair.

    Parameters
    ----------
    root
        The folder, made when something is put in.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, source: str, target: str, name: str) -> Pair | None:
        """The result of a pair that has this key; what can't be read is as good as absent."""
        try:
            data: Any = json.loads(self._path(source, target).read_text(encoding="utf-8"))
            return Pair.from_json(data["pair"]) if data["key"] == name else None
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def put(self, pair: Pair, name: str) -> None:
        """Keep a result, in place of an older one of the pair."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = self._path(pair.source, pair.target)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"key": name, "pair": pair.to_json()}), encoding="utf-8")
        fresh.replace(path)

    def _path(self, source: str, target: str) -> Path:
        return self.root / f"{source}-{target}.json"
