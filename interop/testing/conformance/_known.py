"""Violations that are known: in which version they were seen, and where the library's authors were told.

The tests expect exactly these, so that a version in which one is mended is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Known:
    """A violation that was seen.

    Parameters
    ----------
    version
        The version of the library in which it was.
    upstream
        The issue or change that is about it; empty where none was found.
    """

    version: str
    upstream: str = ""


def _seen(version: str, *checks: str, **upstream: str) -> dict[str, Known]:
    """Return rows of one version; `upstream` has the references, by the check's name with _ for -."""
    references = {name.replace("_", "-"): reference for name, reference in upstream.items()}
    return {name: Known(version, references.get(name, "")) for name in (*checks, *references)}


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
            import_negative_strides="pytorch/pytorch#188023",
        ),
        "jax": _seen("0.10.2", "import-no-protocol", "import-copy-true", "import-deleter-null"),
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
            "export-dtype-refusal",
            "import-one-side-strides",
            "import-empty",
            "import-empty-null",
            import_legacy_answer="apache/arrow#51122",
        ),
        "pyarrow.Tensor": _seen("26.0.1", import_legacy_answer="apache/arrow#51122"),
        "tvm_ffi": _seen("0.1.15", "export-max-version-0.8", "export-stream-1", "import-no-protocol"),
        "warp": _seen(
            "1.19.0",
            "export-keywords",
            "export-deleter-after-exit",
            "import-no-protocol",
            "import-scalar",
            "import-scalar-null",
            "import-lanes",
            import_byte_offset="NVIDIA/warp#1573",
        ),
        "tensorflow": _seen(
            "2.21.0",
            "export-dl-device-unknown",
            "export-dl-device-own",
            "export-dl-device-host",
            "export-refusal",
            "export-dtype-refusal",
            "export-copy-true",
            "import-byte-offset",
            "import-lanes",
            "import-device-cuda",
        ),
        "paddle": _seen(
            "3.3.1",
            "export-dl-device-unknown",
            "export-api-stream",
            "import-no-protocol",
            "import-byte-offset",
            "import-negative-strides",
            "import-device-cuda",
            export_device_types="PaddlePaddle/Paddle#69632",
        ),
        "dpnp": _seen(
            "0.20.0",
            "export-deleter-after-exit",
            "import-no-protocol",
            "import-byte-offset",
            "import-deleter-null",
        ),
    }
)
