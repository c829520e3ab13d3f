"""What frameworks call their own: element types, devices and streams, which only their adapters know.

The tables below everything take such objects in their constructors, and know no adapter. Whoever does says here whom to
ask; until then nothing is known of anybody's objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any


class Speaker(Protocol):
    """What an adapter tells of its framework's own objects."""

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return the framework's dtype objects, and our names of them."""
        ...

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """Return the DLPack pair of a device object, or None where it isn't the framework's."""
        ...

    def native_stream(self, stream: object, /) -> int | None:
        """Return the handle of a stream object, or None where it isn't the framework's."""
        ...


class Foreign:
    """Asks those who know, in turn."""

    def __init__(self) -> None:
        self.speakers: Callable[[], Iterable[Speaker]] = tuple

    def ask(self, speakers: Callable[[], Iterable[Speaker]], /) -> None:
        """Say who knows: a function that gives those of the frameworks that are imported by now."""
        self.speakers = speakers

    def dtype(self, dtype: object) -> str | None:
        """The name of somebody's element type."""
        for speaker in self.speakers():
            try:
                name = speaker.native_dtypes().get(dtype)
            except TypeError:  # unhashable, so no dtype object
                return None
            if name is not None:
                return name
        return None

    def device(self, device: object) -> tuple[int, int] | None:
        """The DLPack pair of somebody's device."""
        return next((pair for each in self.speakers() if (pair := each.native_device(device)) is not None), None)

    def stream(self, stream: object) -> int | None:
        """The handle of somebody's stream."""
        return next((handle for each in self.speakers() if (handle := each.native_stream(stream)) is not None), None)


FOREIGN: Final = Foreign()
