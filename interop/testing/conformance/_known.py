"""Violations that are known: in which version they were seen, how they end, and where the library's authors were told.

The tests expect exactly these, so that a version in which one is mended is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from interop.testing.conformance._check import BROKEN, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

_VIOLATES: Final = frozenset({Outcome.VIOLATION})
_CRASHES: Final = frozenset({Outcome.CRASH})


@dataclass(frozen=True, slots=True)
class Known:
    """A violation that was seen.

    Parameters
    ----------
    version
        The version of the library in which it was.
    upstream
        The issue or change that is about it; empty where none was found.
    endings
        How the check may end. Where the library does something undefined, such as freeing memory twice, that differs
        from run to run: each ending that is possible, `Outcome.CONFORMANT` where it may go well by luck.
    """

    version: str
    upstream: str = ""
    endings: frozenset[Outcome] = _VIOLATES


def is_expected(outcome: Outcome, known: Known | str | None) -> bool:
    """Tell whether a check ended as what is known of it says.

    Parameters
    ----------
    outcome
        How it ended.
    known
        None where it is to be kept; the reason where it is to be broken, in whichever way; a row where that says how.
    """
    if isinstance(known, Known):
        return outcome in known.endings
    return (outcome in BROKEN) == (known is not None)


def reason_of(known: Known | str) -> str:
    """Return why a check is known to fail."""
    return known if isinstance(known, str) else known.upstream or f"seen in {known.version}"


def contradiction(name: str, outcome: Outcome, seen: str, known: Known | str) -> str:
    """Say how a check ended that isn't expected to end so."""
    if outcome not in BROKEN:
        return f"{name} is known to fail ({reason_of(known)}), and doesn't"
    endings = known.endings if isinstance(known, Known) else BROKEN
    allowed = " or ".join(sorted(each.value for each in endings))
    return f"{name} is known to end in: {allowed} ({reason_of(known)}), and ends in: {outcome.value}: {seen}"


def _seen(
    version: str, *checks: str, endings: Mapping[str, frozenset[Outcome]] | None = None, **upstream: str
) -> dict[str, Known]:
    """Return rows of one version.

    A check ends in a violation, unless `endings` says otherwise. `upstream` has the references, by the check's name
    with _ for -.
    """
    ends = endings or {}
    references = {name.replace("_", "-"): reference for name, reference in upstream.items()}
    return {
        name: Known(version, references.get(name, ""), ends.get(name, _VIOLATES))
        for name in (*checks, *references, *ends)
    }


#: By library, then by check.
KNOWN: Final[Mapping[str, Mapping[str, Known]]] = MappingProxyType(
    {
        "torch": _seen(
            "2.13.0",
            "export-copied-flag",
            "export-tricky-values",
            "export-dtype-int4",
            "export-dtype-uint4",
            "export-dtype-int2",
            "export-dtype-uint2",
            "export-api-refusal",
            "import-no-protocol",
            endings={"import-negative-strides": _CRASHES},
            import_negative_strides="pytorch/pytorch#188023",
        ),
        "jax": _seen("0.10.2", "import-no-protocol", "import-copy-true", endings={"import-deleter-null": _CRASHES}),
        "mlx": _seen(
            "0.32.4",
            "export-stream-1",
            "import-error-propagates",
            "import-no-protocol",
            "import-dtype-float64",
            "import-dtype-complex128",
        ),
        "pyarrow.Array": _seen(
            "26.0.1",
            "export-refusal",
            "export-copy-true-legacy",
            "export-dtype-refusal",
            "import-one-side-strides",
            "import-empty",
            "import-empty-null",
            import_legacy_answer="apache/arrow#51122",
        ),
        "pyarrow.Tensor": _seen("26.0.1", "export-copy-true-legacy", import_legacy_answer="apache/arrow#51122"),
        "tvm_ffi": _seen("0.1.15", "export-max-version-0.8", "export-stream-1", "import-no-protocol"),
        "warp": _seen(
            "1.19.0",
            "export-keywords",
            "import-no-protocol",
            "import-scalar",
            "import-scalar-null",
            "import-lanes",
            endings={"export-deleter-after-exit": _CRASHES},
            import_byte_offset="NVIDIA/warp#1573",
        ),
        "tensorflow": _seen(
            "2.21.0",
            "export-dl-device-unknown",
            "export-dl-device-own",
            "export-dl-device-host",
            "export-copy-true",
            "import-byte-offset",
            "import-lanes",
            endings={
                "export-refusal": _CRASHES,
                "export-dtype-refusal": _CRASHES,
                # It refuses the tensor and calls its deleter, which the capsule's destructor then calls again.
                "import-device-cuda": frozenset({Outcome.CRASH, Outcome.CONFORMANT}),
            },
        ),
        "paddle": _seen(
            "3.3.1",
            "export-dl-device-unknown",
            "export-api-stream",
            "import-no-protocol",
            "import-byte-offset",
            "import-negative-strides",
            endings={"import-device-cuda": _CRASHES},
            export_device_types="PaddlePaddle/Paddle#69632",
        ),
        "dpnp": _seen(
            "0.20.0",
            "export-copy-true-legacy",
            "import-no-protocol",
            "import-byte-offset",
            endings={"export-deleter-after-exit": _CRASHES, "import-deleter-null": _CRASHES},
        ),
    }
)
