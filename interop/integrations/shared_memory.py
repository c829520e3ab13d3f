"""Arrays in POSIX shared memory: made in one process, found by name in another, in any framework, without a copy."""

from __future__ import annotations

import importlib
import math
import mmap
import os
import secrets
import weakref
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final, Self, SupportsIndex, Unpack

from interop._aligned import sides_of
from interop._dtypes import DType
from interop._pack import unpack_read
from interop._pack._files import offsets, parted
from interop._pack._header import Header, Leaf, dump
from interop._registry.targets import target_adapter
from interop._words import exact_str, said, shown
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from interop._typed import ConvertOptions, DtypeLike


__all__ = ["Shared", "attach", "empty_shared"]

#: What a name may be on every system: macOS takes 31 characters, with the slash that is put before it.
_LONGEST: Final = 30


class Shared:
    """An array in shared memory, and the name by which other processes find it.

    The process that made it with :func:`empty_shared` owns the name: it is gone when :meth:`unlink` is called, when
    the ``with`` block ends, or when this object does. The memory itself lives until the last array on it is gone, in
    whatever process.

    Attributes
    ----------
    array
        The array.
    name : str
        For :func:`attach`. :class:`multiprocessing.shared_memory.SharedMemory` takes it too.
    owner : bool
        Whether the name is this object's to take away.
    """

    def __init__(self, array: Any, name: str, *, owner: bool) -> None:
        self.array: Any = array
        self.name = name
        self.owner = owner
        # A forked child has a copy of this object, and the name isn't the copy's.
        self._finalizer = weakref.finalize(self, _unlink, name, os.getpid()) if owner else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the array go; the owner takes the name away, too.

        Arrays that are still held keep the memory: nothing is ever pulled away under them.
        """
        self.array = None
        if self.owner:
            self.unlink()

    def unlink(self) -> None:
        """Take the name away, so that nobody finds the memory any more; who has it keeps it.

        Raises
        ------
        UnsupportedError
            If the name is another process's.
        """
        if self._finalizer is None:
            msg = f"{self.name} was made elsewhere, and whoever made it takes it away. Call close() here."
            raise UnsupportedError(msg)
        self._finalizer()

    def __repr__(self) -> str:
        return f"Shared({self.name!r}, owner={self.owner})"


def empty_shared(
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: DtypeLike = "float64",
    to: str | ModuleType = "numpy",
    *,
    name: str | None = None,
) -> Shared:
    """Make an array in shared memory, zeros, on a multiple of 64 bytes.

    Parameters
    ----------
    shape
        A length, or the lengths of the axes.
    dtype
        A name, or any framework's dtype object.
    to
        The framework of the array, which has to be one that takes memory as it is.
    name
        What others call it by, up to 30 characters without a slash; None makes one up.

    Returns
    -------
    Shared
        The owner of the name: keep it, or use it in a ``with`` block. When the process is killed, Python's resource
        tracker takes the name away.

    Raises
    ------
    UnsupportedError
        If the name is taken, the memory isn't there, or the system has no POSIX shared memory.
    DTypeError, CopyError
        If the framework can't have such an array on memory that is there.

    Examples
    --------
    >>> from interop.integrations.shared_memory import attach, empty_shared
    >>> with empty_shared((2, 3), "float32", "torch") as shared:
    ...     _ = shared.array.fill_(7)
    ...     attach(shared.name, "numpy").array.sum()
    np.float32(42.0)
    """
    wanted = DType(dtype)
    sides = sides_of(shape)
    framework = target_adapter(to).name
    leaf = Leaf(wanted.name, sides, None, 0, 0, framework, "cpu", readonly=False)
    size = math.prod(sides) * wanted.itemsize
    header = dump(Header(0, [leaf], [size]))
    _, whole = offsets(header, [size])
    chosen = f"interop_{secrets.token_hex(8)}" if name is None else _checked(name)
    memory = _created(chosen, whole)
    try:
        memory[: len(header)] = header
        array = _array_on(memory, to, {"copy": False})
    except BaseException:
        _unlink(chosen, os.getpid())
        raise
    return Shared(array, chosen, owner=True)


def attach(name: str, /, to: str | ModuleType | None = None, **options: Unpack[ConvertOptions]) -> Shared:
    """Find an array in shared memory by its name.

    Parameters
    ----------
    name
        Of :attr:`Shared.name`.
    to
        The framework of the array; None is the one that it was made in, if that is imported here, else numpy.
    **options
        As in :func:`interop.convert`. ``writable=False`` maps the memory readonly: a write is then an error in numpy,
        and ends the process in torch, which can't express readonly. jax, which assumes that memory never changes, takes
        what is writable as it is with ``copy=False``.

    Returns
    -------
    Shared
        Which doesn't own the name. The array keeps the memory, also when this object and the owner are gone.

    Raises
    ------
    UnsupportedError
        If there is no such name, or what is there wasn't made by :func:`empty_shared`.
    """
    memory = _opened(_checked(name), readonly=options.get("writable") is False)
    return Shared(_array_on(memory, to, options), name, owner=False)


def _array_on(memory: mmap.mmap, to: str | ModuleType | None, options: ConvertOptions) -> Any:
    _, read, buffers = parted(memory)
    return unpack_read(read, buffers, to, "numpy", options)


def _checked(name: object) -> str:
    text = exact_str(name)
    if text and len(text) <= _LONGEST and "/" not in text and "\0" not in text and text.isascii():
        return text
    msg = f"name={shown(name)} is no name: pass up to {_LONGEST} ASCII characters without a slash, or None."
    raise UnsupportedError(msg)


def _created(name: str, size: int) -> mmap.mmap:
    shm = _system()
    try:
        file = shm.shm_open(f"/{name}", os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    except OSError as err:
        msg = f"no shared memory of the name {name!r} can be made ({said(err)}). Pass another name, or None."
        raise UnsupportedError(msg) from err
    resource_tracker.register(f"/{name}", "shared_memory")
    try:
        os.ftruncate(file, size)
        if hasattr(os, "posix_fallocate"):
            # Pages that aren't there when they are written end the process (SIGBUS).
            os.posix_fallocate(file, 0, size)
        return mmap.mmap(file, size)
    except (OSError, ValueError, OverflowError) as err:
        _unlink(name, os.getpid())
        msg = f"there are no {size} bytes of shared memory ({said(err)}). Make it smaller, or /dev/shm larger."
        raise UnsupportedError(msg) from err
    finally:
        os.close(file)


def _opened(name: str, *, readonly: bool) -> mmap.mmap:
    """Map what somebody else made; not by SharedMemory, which before Python 3.13 has its tracker take the name away."""
    shm = _system()
    try:
        file = shm.shm_open(f"/{name}", os.O_RDONLY if readonly else os.O_RDWR, mode=0)
    except OSError as err:
        msg = f"there is no shared memory of the name {name!r} ({said(err)}): its owner has taken it away, or is gone."
        raise UnsupportedError(msg) from err
    try:
        return mmap.mmap(file, 0, access=mmap.ACCESS_READ if readonly else mmap.ACCESS_WRITE)
    except (OSError, ValueError) as err:
        msg = f"the shared memory {name!r} can't be mapped ({said(err)}): it isn't one of empty_shared's."
        raise UnsupportedError(msg) from err
    finally:
        os.close(file)


def _unlink(name: str, process: int) -> None:
    if os.getpid() != process:
        return
    with suppress(FileNotFoundError):
        _system().shm_unlink(f"/{name}")
    resource_tracker.unregister(f"/{name}", "shared_memory")


def _system() -> Any:
    try:
        # What SharedMemory itself is made of; it would give its tracker every name that it opens.
        return importlib.import_module("_posixshmem")
    except ImportError as err:
        msg = "this system has no POSIX shared memory. Use multiprocessing.shared_memory and interop.join(into=) there."
        raise UnsupportedError(msg) from err
