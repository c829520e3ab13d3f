"""A kit to test what exchanges tensors: comparisons to the bit, hypothesis strategies and fake producers.

``interop.testing.strategies`` draws arrays of every element type, shape and memory layout (it needs hypothesis:
``pip install "tensor-interop[testing]"``); ``interop.testing.fakes`` has producers that speak one protocol each, or
speak it badly, and count what they hand out; ``interop.testing.conformance`` checks a library against the rules of
DLPack. Importing them imports no framework.
"""

from interop.testing.compare import assert_allclose, assert_identical

__all__ = ["assert_allclose", "assert_identical"]
