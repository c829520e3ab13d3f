"""How a reading takes part in interop: loaded by interop itself, through the entry point."""

from gauges import Reading
from interop.protocols import HostAdapter, Limits


class ReadingAdapter(HostAdapter):
    """Samples on the same memory where the gain is 1; else a copy of the values."""

    name = "gauges"
    types = (Reading,)
    room = Limits(frozenset({"float32", "float64"}), strides="any", max_ndim=1)

    def to_numpy(self, x):
        """Look at the samples; a sealed reading can't be written through."""
        samples = x.samples.view()
        samples.flags.writeable = not x.sealed and samples.flags.writeable
        return samples

    def from_numpy(self, array):
        """Keep the samples, which are the values."""
        return Reading(array)

    def pending(self, x):
        """With a gain the memory isn't the values."""
        return frozenset() if x.gain == 1 else frozenset({"encoded"})

    def values(self, x):
        """What a copy takes."""
        return x.values()

    def dress(self, made, like):
        """Give what was made of numbers alone the unit of what it was made of."""
        made.unit = like.unit
        return made


adapter = ReadingAdapter()
