"""Memory that its framework may still free or move: what keeps it, where it lies, and how it is read meanwhile."""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t, uintptr_t

from interop._native._calls cimport Py_DECREF, Py_True, answers, call_one, number
from interop._native._copying cimport Walk, advance, can_fill, copy_block, copy_bytes, lay_out
from interop._native._export cimport host_accessible
from interop._native._import cimport ExchangeAPI
from interop._native._layouts cimport IMPOSSIBLE, measure
from interop._native._view cimport View, memory_like
from interop._native.dlpack cimport DLTensor

from interop.errors import UnsupportedError

cdef enum:
    # What is copied before other threads are let in: a fraction of the time after which one that waits asks for it.
    PIECE = 1 << 20
    # The least of a row that is written, in elements and in bytes, where it isn't read along the row.
    BLOCK = 512
    ROW = 2048
    LINE = 64
    # Each try allocates an object or two, and the collector runs at one allocation in some.
    TRIES = 16


@cython.final
@cython.no_gc_clear
cdef class Keeper:
    """What keeps the memory of a framework's objects, and where that memory lies.

    A pointer, a shape and an owner are of one moment only if the owner was found first and the pointer lies in its
    memory: whatever ran in between (a finalizer, another thread) may have given the object other memory, or the
    memory to nobody.

    Parameters
    ----------
    owner
        Called with an object: what keeps its memory alive.
    start, size
        Called with an owner: the address of its memory and the bytes there, as of now. They run no Python.
    movable
        Called with an owner: whether the framework may still free the memory, or move it.
    lock
        Called with an owner: has the framework refuse to, for good.
    """

    def __cinit__(self, *, owner, start, size, movable, lock):
        for each in (owner, start, size, movable, lock):
            if not callable(each):
                raise TypeError(f"it is called, and this can't be: {each!r}")
        self.owner_of = owner
        self.start = start
        self.size = size
        self.movable = movable
        self.lock_owner = lock

    cdef object find(self, object x):
        """What keeps an object's memory; None where nothing does."""
        cdef PyObject* made = call_one(<PyObject*> self.owner_of, <PyObject*> x)
        if made == NULL:
            PyErr_Clear()
            return None
        owner = <object> made
        Py_DECREF(made)
        return owner

    cdef bint holds(self, object owner, const DLTensor* tensor) noexcept:
        """Whether every element lies in the owner's memory, as of now."""
        cdef int64_t itemsize = (tensor.dtype.bits * tensor.dtype.lanes + 7) // 8
        cdef int64_t below, above
        cdef uint64_t start, size
        cdef uint64_t ptr = <uintptr_t> tensor.data
        if measure(tensor, itemsize, &below, &above) == IMPOSSIBLE:
            return False
        if above == 0:
            return True
        # Of memory that was freed the address is NULL, and of a slice of it that and the slice's offset.
        if not number(call_one(<PyObject*> self.start, <PyObject*> owner), &start) or start == 0:
            return False
        if not number(call_one(<PyObject*> self.size, <PyObject*> owner), &size):
            return False
        if ptr < start or ptr - start > size:
            return False
        return ptr - start >= <uint64_t> below and size - (ptr - start) >= <uint64_t> above

    cdef bint moves(self, object owner) noexcept:
        return answers(call_one(<PyObject*> self.movable, <PyObject*> owner), Py_True)

    def lend(self, ExchangeAPI api not None, x, /):
        """A View of an object that has a C exchange API, with what keeps the memory for its owner.

        To make the owner may run the collector, and that may give the object other memory, which isn't the owner's: then
        it is looked at again. What lies outside of its owner's memory all the same is for :meth:`keeps` to find.

        Raises
        ------
        Exception
            The framework's own, where nothing keeps the memory, and what :meth:`ExchangeAPI.peek` raises.
        """
        cdef View view
        for _ in range(TRIES):
            view = api.peek(x, self.owner_of(x))
            if self.holds(view.owner, &view.tensor):
                break
        return view

    def keeps(self, View view not None, /):
        """Whether a View's memory lies in its owner's, as of now."""
        return self.holds(view.owner, &view.tensor)

    def may_move(self, View view not None, /):
        """Whether the framework may still free a View's memory, or move it."""
        return self.moves(view.owner)

    def lock(self, View view not None, /):
        """Have the framework keep a View's memory where it is, for good; whether it lies there.

        Raises
        ------
        Exception
            The framework's own, or a RuntimeError, where it doesn't.
        """
        if self.moves(view.owner):
            self.lock_owner(view.owner)
            if self.moves(view.owner):
                raise RuntimeError("it was locked, and can still be resized")
        # Looked at afterwards: until now it could be moved.
        return self.holds(view.owner, &view.tensor)

    def copy(self, View into not None, View view not None, /):
        """Copy a View's memory, which may move, into other memory; False where it has moved, and is to be read anew.

        The layouts may differ, and the element types where :meth:`can_copy` says so.
        """
        if not self.can_copy(into, view):
            raise UnsupportedError(f"{view} can't be copied into {into}: they differ in more than their layout.")
        return self.copy_held(&into.tensor, &view.tensor, view.owner)

    def can_copy(self, View into not None, View view not None, /):
        """Whether :meth:`copy` can: the shapes agree, and the types too or it casts between them."""
        return host_accessible(into.tensor.device.device_type) and can_fill(&into.tensor, &view.tensor)

    def copied(self, View view not None, /):
        """A View of memory of its own, in C order, with the values of memory that may move; None where it has moved."""
        cdef View made = memory_like(view)
        return made if self.copy_held(&made.tensor, &view.tensor, view.owner) else None

    cdef bint copy_held(self, const DLTensor* into, const DLTensor* tensor, object owner) except -1:
        # Nothing but the GIL keeps the framework from freeing what is read here, in another thread: numpy's and the
        # frameworks' own copies let go of it. So it is held, and the memory is looked at again whenever it was let go
        # of, which is often enough that nobody waits long. To lock memory that is only read would be for good. (Without
        # a GIL a resize beside this is a race of the program's own, as it is beside any call of the framework's.)
        cdef Walk walk
        cdef int64_t rows, columns, row, column, first, height, breadth, offset, size
        cdef int64_t skipped = 0
        cdef int64_t left = 0
        cdef bint begun = False
        if not lay_out(&walk, into, tensor):
            return True
        # Where there are rows, a block of both: read across rows, it is one piece of memory.
        columns = PIECE if walk.rows.length <= 1 else max(BLOCK, ROW // walk.unit)
        columns = min(walk.columns.length, max(1, PIECE // walk.unit), columns)
        rows = min(walk.rows.length, max(1, PIECE // (columns * walk.unit)))
        if walk.stream and columns > LINE:
            # Past the caches lines are written whole, so the blocks end where they do.
            skipped = <int64_t> (<uintptr_t> walk.to % LINE) // walk.into
        while True:
            for row in range(0, walk.rows.length, rows):
                height = min(rows, walk.rows.length - row)
                for column in range(-skipped, walk.columns.length, columns):
                    first = max(column, 0)
                    breadth = min(column + columns, walk.columns.length) - first
                    for offset in range(0, walk.unit, PIECE):
                        size = height * breadth * min(PIECE, walk.unit - offset)
                        if left < size:
                            if begun:
                                with nogil:
                                    pass
                            begun = True
                            if not self.holds(owner, tensor):
                                return False
                            left = PIECE
                        left -= size
                        if walk.unit <= PIECE:
                            copy_block(&walk, row, height, first, breadth)
                        else:
                            copy_bytes(&walk, row, first, offset, size)
            if not advance(&walk):
                return True
