"""Ops: what a compiled plan does, one thing after the other, without a Python frame.

An op works on a :class:`Job`: the object so far and its memory. It returns 1, raises, or returns 0 where it met
something that the plan didn't foresee: then the planner's own way decides.

What another library does is looked at afterwards; our own allocation and copy aren't.
"""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches, PyErr_Occurred
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from interop._native._arrays cimport (
    FLAG_BITS,
    IN_C_ORDER,
    IN_F_ORDER,
    LAYOUT_BITS,
    READONLY,
    Array,
    disjoint,
    itemsize_of,
    release,
    size_of,
)
from interop._native._calls cimport Py_XDECREF, call_one
from interop._native._copying cimport can_fill, copy_unlocked
from interop._native._import cimport ExchangeAPI
from interop._native._ndarray cimport (
    borrow_ndarray,
    copy_into,
    data_of,
    aligned_copy,
    descr_of,
    empty_in_order,
    empty_like,
    new_ndarray,
    restrict,
)
from interop._native._questions cimport Guards
from interop._native._readers cimport PLAIN, Reader
from interop._native._layouts cimport MAX_AXES, c_order
from interop._native._view cimport View, new_view
from interop._native.dlpack cimport FLAG_READ_ONLY, FLAG_SUBBYTE_PADDED, DLManagedTensorVersioned, DLTensor

# numpy's orders.
cdef enum:
    ANY_ORDER = -1
    C = 0
    F = 1
    K = 2

cdef enum:
    # Bytes for which the GIL is held.
    PIECE = 1 << 20
    # Bytes that are copied once more rather than be locked to be read.
    MOST_BYTES = 1 << 18
    # Bytes from which on fresh memory wants huge pages, as numpy's own has: see use_huge_pages of the adapters.
    HUGE = 1 << 22

cdef dict _ORDERS = {"C": C, "F": F, None: K}


cdef class Op:
    """The base of the ops; this one does nothing."""

    cdef int run(self, Job* job) except -1:
        return 1


cdef inline void leave(Job* job, object value) noexcept:
    """Leave what an op has made to the next one."""
    cdef PyObject* before = job.value
    Py_INCREF(value)
    job.value = <PyObject*> value
    job.known = False
    Py_XDECREF(before)


cdef inline object holder(Job* job):
    """What keeps the memory alive."""
    return <object> job.array.owner


@cython.final
cdef class KeepOp(Op):
    """The object itself is the result."""

    cdef int run(self, Job* job) except -1:
        leave(job, <object> job.x)
        return 1


@cython.final
@cython.no_gc_clear
cdef class CallOp(Op):
    """A framework's own operation.

    Parameters
    ----------
    function
        Called with the object so far; NotImplemented is left to the planner, as what it raises is.
    """

    cdef object function

    def __cinit__(self, function, /):
        self.function = function

    cdef int run(self, Job* job) except -1:
        cdef PyObject* made = call_one(<PyObject*> self.function, job.x if job.value == NULL else job.value)
        cdef PyObject* before = job.value
        if made == NULL:
            return unexpected()
        if made == <PyObject*> NotImplemented:
            Py_XDECREF(made)
            return 0
        job.value = made
        job.known = False
        Py_XDECREF(before)
        return 1


@cython.final
cdef class SmallOp(Op):
    """Leave what is large to the planner, which has huge pages laid under a framework's memory before it is written."""

    cdef int run(self, Job* job) except -1:
        return size_of(&job.array.tensor) * itemsize_of(&job.array.tensor) < HUGE


@cython.final
@cython.no_gc_clear
cdef class ReadOp(Op):
    """Look at what an operation made, which is nobody else's, to hand its memory on.

    Parameters
    ----------
    reader
        Of what it made.
    fresh
        Whether it has to be other memory than the source's: libraries have been seen to return their argument.
    """

    cdef Reader reader
    cdef bint fresh

    def __cinit__(self, Reader reader not None, /, *, bint fresh=True):
        self.reader = reader
        self.fresh = fresh

    cdef int run(self, Job* job) except -1:
        cdef Array made
        made.owner = NULL
        if job.value == NULL or self.reader.adopt(job.value, &made) != PLAIN:
            return 0
        if self.fresh and not disjoint(&made.tensor, &job.array.tensor):
            release(&made)
            return 0
        release(job.array)
        copy_array(job.array, &made)
        # Nobody else can resize it.
        job.array.stays = job.known = True
        return 1


cdef void copy_array(Array* into, const Array* array) noexcept:
    cdef size_t size = array.tensor.ndim * sizeof(array.shape[0])
    into.tensor = array.tensor
    into.signature = array.signature
    into.owner = array.owner
    into.tensor.shape = into.shape
    into.tensor.strides = into.strides
    memcpy(into.shape, array.shape, size)
    memcpy(into.strides, array.strides, size)


@cython.final
cdef class ToNdarrayOp(Op):
    """An ndarray on the memory.

    Parameters
    ----------
    readonly
        Whether it is readonly.
    """

    cdef bint readonly

    def __cinit__(self, *, bint readonly=False):
        self.readonly = readonly

    cdef int run(self, Job* job) except -1:
        cdef Array* array = job.array
        if not array.stays or descr_of(array.tensor.dtype) == NULL:
            return 0
        leave(job, new_ndarray(&array.tensor, self.readonly, holder(job)))
        return 1


@cython.final
cdef class ToViewOp(Op):
    """A View of the memory."""

    cdef int run(self, Job* job) except -1:
        cdef Array* array = job.array
        cdef View view = new_view(
            &array.tensor, FLAG_READ_ONLY if array.signature.state >> FLAG_BITS & READONLY else 0, True, holder(job)
        )
        if array.tensor.dtype.bits < 8:
            view.flags |= FLAG_SUBBYTE_PADDED
        leave(job, view)
        return 1


cdef inline bint in_c_order(Job* job) noexcept:
    return job.array.signature.state >> LAYOUT_BITS & IN_C_ORDER != 0


@cython.final
@cython.no_gc_clear
cdef class FeedOp(Op):
    """A framework's own copy of an ndarray on the memory.

    Memory that may move is copied first, while the GIL is held, so that nothing has to be locked only to be read; and
    what that makes, which is nobody else's, the framework takes as it is.

    Parameters
    ----------
    copy
        Called with an ndarray: copies it; NotImplemented where it doesn't.
    take
        Called with an ndarray that nobody else has: takes its memory as it is, or NotImplemented.
    """

    cdef object copy, take

    def __cinit__(self, copy, take, /):
        self.copy = copy
        self.take = take

    cdef int run(self, Job* job) except -1:
        cdef const DLTensor* tensor = &job.array.tensor
        if descr_of(tensor.dtype) == NULL:
            return 0
        try:
            if job.array.stays:
                readonly = job.array.signature.state >> FLAG_BITS & READONLY != 0
                result = self.copy(new_ndarray(tensor, readonly, holder(job)))
            elif size_of(tensor) * itemsize_of(tensor) > MOST_BYTES or not in_c_order(job):
                # Copied once, by the planner's way, where it stays; and in the order of its axes.
                return 0
            else:
                between = aligned_copy(tensor)
                result = self.take(between)
                if result is NotImplemented:
                    result = self.copy(between)
        except Exception:
            # The planner asks again, and says it in words.
            return 0
        if result is NotImplemented:
            return 0
        leave(job, result)
        return 1


@cython.final
@cython.no_gc_clear
cdef class ToExchangeOp(Op):
    """An object of a type with a C exchange API, on the memory.

    Parameters
    ----------
    api
        The type's.
    state
        Questions about this thread alone, which the API doesn't ask.
    """

    cdef ExchangeAPI api
    cdef Guards state

    def __cinit__(self, ExchangeAPI api not None, Guards state not None, /):
        self.api = api
        self.state = state

    cdef int run(self, Job* job) except -1:
        cdef PyObject* made
        if not job.array.stays or not self.state.passes(job.x):
            return 0
        plain_strides(job.array)
        made = self.api.c_wrap(&job.array.tensor, False, holder(job))
        if made == NULL:
            return unexpected()
        result = <object> made
        Py_XDECREF(made)
        leave(job, result)
        return 1


cdef int unexpected() except -1:
    """Forget what a library has raised: the planner asks again, and says it in words. An interrupt is passed on."""
    if PyErr_Occurred() != NULL and not PyErr_ExceptionMatches(Exception):
        raise_set()
    PyErr_Clear()
    return 0


cdef extern from *:
    """
    static int interop_raise_set(void) { return PyErr_Occurred() ? -1 : 0; }
    """
    # Raises what a C function has set, if it has.
    int raise_set "interop_raise_set" () except? -1


cdef void plain_strides(Array* array) noexcept:
    """Give axes of length 1, and those of nothing, strides that a library's arithmetic takes (pytorch#188023)."""
    cdef int axis, layout = array.signature.state >> LAYOUT_BITS & 0xFF
    cdef long long step = 1
    for axis in range(array.tensor.ndim - 1, -1, -1):
        if array.shape[axis] == 1 or layout & 1:
            array.strides[axis] = step
        if array.shape[axis] > 1:
            step *= array.shape[axis]


@cython.final
@cython.no_gc_clear
cdef class CopyToNdarrayOp(Op):
    """A copy by numpy, in memory of its own, cast on the way.

    Parameters
    ----------
    order
        ``"C"``, ``"F"``, or None to keep the order of the axes in memory.
    dtype
        numpy's; None where nothing is cast.
    quiet
        The context in which numpy says nothing of casts that lose values; None where none can.
    readonly
        Whether the copy is readonly.
    """

    cdef int order
    cdef object dtype, quiet
    cdef bint readonly

    def __cinit__(self, *, order=None, dtype=None, quiet=None, bint readonly=False):
        self.order = _ORDERS[order]
        self.dtype = dtype
        self.quiet = quiet
        self.readonly = readonly

    cdef int run(self, Job* job) except -1:
        cdef const DLTensor* tensor = &job.array.tensor
        cdef int layout = job.array.signature.state >> LAYOUT_BITS & 0xFF
        cdef bint fortran = self.order == F or self.order == K and not layout & IN_C_ORDER and layout & IN_F_ORDER
        if descr_of(tensor.dtype) == NULL:
            return 0
        # What its framework may free is read while the GIL is held, and not for long; nor does numpy hold it.
        if not job.array.stays and (self.dtype is not None or size_of(tensor) * itemsize_of(tensor) > PIECE):
            return 0
        if self.dtype is not None:
            result = self.cast(job)
        elif layout & (IN_F_ORDER if fortran else IN_C_ORDER):
            result = empty_in_order(tensor, fortran)
            copy_run(data_of(result), tensor.data, size_of(tensor) * itemsize_of(tensor))
        else:
            result = empty_like(new_ndarray(tensor, True, holder(job)), self.order, <object> descr_of(tensor.dtype))
            if not fill_array(result, tensor):
                return 0
        if self.readonly:
            restrict(result)
        leave(job, result)
        return 1

    cdef object cast(self, Job* job):
        source = new_ndarray(&job.array.tensor, True, holder(job))
        result = empty_like(source, self.order, self.dtype)
        if fill_array(result, &job.array.tensor):
            return result
        if self.quiet is None:
            copy_into(result, source)
        else:
            with self.quiet():
                copy_into(result, source)
        return result


cdef void copy_run(void* to, const void* source, int64_t size) noexcept:
    if size == 0:
        # Of nothing there may be no address, which memcpy isn't to be given.
        return
    if size > PIECE:
        with nogil:
            memcpy(to, source, size)
    else:
        memcpy(to, source, size)


cdef bint fill_array(object array, const DLTensor* tensor):
    """Copy memory into an ndarray of the same shape, cast on the way; False where numpy has to."""
    cdef DLTensor into
    cdef int64_t[MAX_AXES] shape
    cdef int64_t[MAX_AXES] strides
    cdef bint readonly = False
    into.shape = shape
    into.strides = strides
    if not borrow_ndarray(array, &into, &readonly) or not can_fill(&into, tensor):
        return False
    copy_unlocked(&into, tensor)
    return True


@cython.final
@cython.no_gc_clear
cdef class CopyToExchangeOp(Op):
    """A copy in C order, in memory of a framework's own allocator; what is large is left to the planner, as by SmallOp.

    Parameters
    ----------
    api
        Of the framework's type.
    state
        Questions about this thread alone, which the API doesn't ask.
    made
        The type of what it makes; in a mode of the framework it has been seen to be another one.
    """

    cdef ExchangeAPI api
    cdef Guards state
    cdef object made

    def __cinit__(self, ExchangeAPI api not None, Guards state not None, made, /):
        self.api = api
        self.state = state
        self.made = made

    cdef int run(self, Job* job) except -1:
        cdef DLManagedTensorVersioned* managed = NULL
        cdef DLTensor wanted = job.array.tensor
        cdef void* made = NULL
        if self.api.api.managed_tensor_allocator == NULL or not job.array.stays or not self.state.passes(job.x):
            return 0
        if size_of(&wanted) * itemsize_of(&wanted) >= HUGE:
            return 0
        wanted.data = NULL
        wanted.strides = NULL
        if self.api.api.managed_tensor_allocator(&wanted, &managed, NULL, say_nothing) != 0 or managed == NULL:
            return unexpected()
        if managed.dl_tensor.data == NULL and size_of(&job.array.tensor) != 0:
            # A mode in which nothing has memory allocates so.
            managed.deleter(managed)
            return 0
        fill(&managed.dl_tensor, &job.array.tensor)
        if self.api.api.managed_tensor_to_py_object_no_sync(managed, &made) != 0 or made == NULL:
            return unexpected()
        result = <object> <PyObject*> made
        Py_XDECREF(<PyObject*> made)
        if type(result) is not self.made:
            return 0
        leave(job, result)
        return 1


cdef void fill(const DLTensor* into, const DLTensor* tensor) noexcept:
    """Copy memory into fresh memory in C order."""
    cdef DLTensor target = tensor[0]
    cdef int64_t[MAX_AXES] strides
    target.data = <char*> into.data + into.byte_offset
    target.strides = strides
    c_order(tensor.ndim, tensor.shape, strides)
    copy_unlocked(&target, tensor)


cdef void say_nothing(void* context, const char* kind, const char* text) noexcept nogil:
    """Take the reason that an allocation failed for; the planner's way finds it again."""
