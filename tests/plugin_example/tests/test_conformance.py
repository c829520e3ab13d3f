"""What a trace exports, and what it takes, keeps the rules of DLPack."""

import gauges
import numpy as np

from interop.testing import conformance


def frozen(array: np.ndarray) -> gauges.Trace:
    """A trace that can't be written through."""
    array.flags.writeable = False
    return gauges.asarray(array)


class TestExports(conformance.ProducerSuite):
    make = staticmethod(gauges.asarray)
    readonly = staticmethod(frozen)
    imports = "import gauges"


class TestImports(conformance.ConsumerSuite):
    from_dlpack = staticmethod(gauges.from_dlpack)
    to_numpy = staticmethod(lambda trace: trace.samples)
