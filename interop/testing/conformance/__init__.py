"""Whether a library keeps the rules of DLPack and the array API standard: as a producer and as a consumer.

One call checks what a library exports, one what it imports, and each broken rule comes with the place where it is
written and a short program in plain Python that shows it, to be pasted into an issue:

>>> import numpy as np
>>> from interop.testing import conformance
>>> conformance.check_producer(np.asarray).assert_conformant()
>>> conformance.check_consumer(np.from_dlpack).assert_conformant()

The same as tests, for pytest::

    class TestExports(conformance.ProducerSuite):
        make = staticmethod(mylib.asarray)

and on the command line: ``interop conformance mylib:Array``.
"""

from typing import Final

from interop.testing.conformance._api import check, check_consumer, check_producer
from interop.testing.conformance._check import Check, Outcome, Result, Role
from interop.testing.conformance._known import KNOWN, Known
from interop.testing.conformance._report import Report
from interop.testing.conformance._rules import Rule
from interop.testing.conformance._run import CONSUMER_CHECKS, PRODUCER_CHECKS, Isolation
from interop.testing.conformance._suites import ConsumerSuite, ProducerSuite
from interop.testing.conformance._world import WORLD

__all__ = [
    "CHECKS",
    "CONSUMER_CHECKS",
    "KNOWN",
    "PRODUCER_CHECKS",
    "WORLD",
    "Check",
    "ConsumerSuite",
    "Isolation",
    "Known",
    "Outcome",
    "ProducerSuite",
    "Report",
    "Result",
    "Role",
    "Rule",
    "check",
    "check_consumer",
    "check_producer",
]

#: Every check: those of a producer, then those of a consumer.
CHECKS: Final = (*PRODUCER_CHECKS, *CONSUMER_CHECKS)
