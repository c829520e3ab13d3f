"""A second judge, which shares nothing with the first: no hands, no capsule, no table of this library.

It takes the values by a plain copy, which each framework makes by a call of its own, and the addresses from that
framework too; what is in memory there it has the kernel read and change. It looks at a sample of every pair, and where
the two don't say the same, the matrix can't be believed.
"""

from interop.cli._matrix.second._judge import is_sampled, look, objection
from interop.cli._matrix.second._kernel import CAN_ASK

__all__ = ["CAN_ASK", "is_sampled", "look", "objection"]
