"""The two halves of a handover in device memory: one framework lends an object, the other takes the memory.

Both are an adapter's composition of these parts. Whatever is unusual is refused, and goes to the planner.
"""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uintptr_t

from interop._native._calls cimport Py_DECREF
from interop._native._import cimport ExchangeAPI
from interop._native._loans cimport CurrentStream, Streams, new_loan
from interop._native._plain cimport Named, PlainArrays, PlainTensors, call, raise_set
from interop._native._questions cimport Guards
from interop._native._layouts cimport MAX_AXES, POSSIBLE, follows_c, measure
from interop._native._view cimport View, new_view
from interop._native.dlpack cimport DLTensor, kDLCUDA

cdef enum:
    # CUDA's number for the legacy default stream.
    LEGACY = 1
    CODES = 32
    MOST_BITS = 128
    # Of more devices than that nothing is remembered.
    DEVICES = 64


@cython.final
cdef class Known:
    """What is remembered of the stream that a framework works on, on one device; it never changes."""


@cython.final
@cython.no_gc_clear
cdef class Readers:
    """The streams that a framework works on, by the index of the device."""

    def __cinit__(self, ask):
        self.ask = ask
        self.known = [None] * DEVICES

    cdef Known reader(self, int index):
        cdef Known found = None
        if 0 <= index < DEVICES:
            found = <Known> self.known[index]
            if found is not None and found.now.streams.handle(index) == found.handle:
                return found
        stream = self.ask(index)
        found = Known.__new__(Known)
        found.handle = <uintptr_t> stream
        found.there = (stream,)
        now = getattr(stream, "now", None)
        if type(now) is CurrentStream:
            found.now = now
            # Another stream would be kept from being destroyed.
            if 0 <= index < DEVICES and (found.handle == LEGACY or stream.owner is None):
                self.known[index] = found
        return found


# What lends.

cdef class Lender:
    """The base of the halves that lend; called with an object and what gives a reader's stream, it gives a View."""

    cdef object lend(self, object x, Readers readers, DLTensor* tensor, int64_t* lengths):
        """Fill in `tensor`, with room for shape and strides in `lengths`; return the loan, or None."""
        return None

    def __call__(self, x, reader, /):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        loan = self.lend(x, Readers(reader), &tensor, lengths)
        return NotImplemented if loan is None else new_view(&tensor, 0, True, loan)


@cython.final
@cython.no_gc_clear
cdef class ExchangeLender(Lender):
    """Lends by a C exchange API, where both frameworks work on the same stream and it is the lender's own.

    Parameters
    ----------
    plain
        Which objects are plain.
    loan
        The class of loans.
    lender
        What a loan is told of: knows the lender's streams.
    streams
        The lender's streams.
    own_stream
        By index and handle, the lender's object for the stream that it works on; None where that is another one, or
        isn't the lender's own. What it gives stays good.
    record
        Tells the allocator that a stream reads an object.
    reusable
        Of what keeps an object's memory, whether that goes back to the lender's allocator.
    """

    cdef PlainTensors plain
    cdef type loan
    cdef object lender, reusable
    cdef Streams streams
    cdef Named own_stream, record
    cdef list own

    def __cinit__(
        self,
        PlainTensors plain not None,
        *,
        type loan not None,
        lender,
        Streams streams not None,
        Named own_stream not None,
        Named record not None,
        reusable,
    ):
        self.plain = plain
        self.loan = loan
        self.lender = lender
        self.streams = streams
        self.own_stream = own_stream
        self.record = record
        self.reusable = reusable
        self.own = [None] * DEVICES

    cdef object lend(self, object x, Readers readers, DLTensor* tensor, int64_t* lengths):
        cdef Known known
        cdef int index
        memory = self.plain.describe(x, tensor, lengths)
        if memory is None or tensor.device.device_type != kDLCUDA or tensor.data == NULL:
            return None
        index = tensor.device.device_id
        known = readers.reader(index)
        own = self.own_of(index, known)
        if own is None or call(self.reusable, memory) is not True:
            return None
        self.record.function()(x, own)
        # Whatever ran since may have given the object other memory, which is what the allocator was told of then.
        if not self.plain.still(x, memory, tensor, lengths):
            return None
        return new_loan(self.loan, memory, known.there[0].device, self.lender, known.there)

    cdef object own_of(self, int index, Known known):
        cdef Known found
        own_stream = self.own_stream.now()
        if own_stream is not None:
            return own_stream(index, known.there[0])
        if self.streams.handle(index) != known.handle:
            return None
        if 0 <= index < DEVICES:
            found = <Known> self.own[index]
            if found is not None and found.handle == known.handle:
                return found.own
        own = self.own_stream.first(index, known.there[0])
        if own is not None and 0 <= index < DEVICES:
            found = Known.__new__(Known)
            found.handle = known.handle
            found.own = own
            self.own[index] = found
        return own


@cython.final
@cython.no_gc_clear
cdef class ArrayLender(Lender):
    """Lends arrays that are described by their attributes, where both frameworks work on the same stream.

    Parameters
    ----------
    plain
        Which arrays are plain.
    loan, lender, streams
        As of :class:`ExchangeLender`.
    works_on
        By stream and index, whether the lender works on a stream.
    """

    cdef PlainArrays plain
    cdef type loan
    cdef object lender
    cdef Streams streams
    cdef Named works_on

    def __cinit__(
        self, PlainArrays plain not None, *, type loan not None, lender, Streams streams not None, Named works_on not None
    ):
        self.plain = plain
        self.loan = loan
        self.lender = lender
        self.streams = streams
        self.works_on = works_on

    cdef object lend(self, object x, Readers readers, DLTensor* tensor, int64_t* lengths):
        cdef Known known
        memory = self.plain.describe(x, tensor, lengths)
        if memory is None:
            return None
        known = readers.reader(tensor.device.device_id)
        works_on = self.works_on.now()
        if works_on is None:
            if self.streams.handle(tensor.device.device_id) != known.handle:
                return None
        elif not works_on(known.there[0], tensor.device.device_id):
            return None
        return new_loan(self.loan, memory, known.there[0].device, self.lender, known.there)


# What takes.

cdef class Taker:
    """The base of the halves that take; called with a View, it gives an array, or NotImplemented."""

    cdef object take(self, const DLTensor* tensor, object owner):
        return NotImplemented

    def __call__(self, View view not None, /):
        return self.take(&view.tensor, view.owner)


@cython.final
@cython.no_gc_clear
cdef class ExchangeTaker(Taker):
    """Takes by a C exchange API, what is aligned and steps forward.

    Parameters
    ----------
    api
        The type's exchange API.
    borrowed
        Makes an object of the API and a View.
    dtypes
        The DLPack triples of the element types that it holds.
    guards
        What of its global state its exchange API doesn't look at.
    """

    cdef ExchangeAPI api
    cdef Named borrowed
    cdef Guards guards
    # By code and bits.
    cdef uint8_t[CODES][MOST_BITS + 1] allowed

    def __cinit__(self, ExchangeAPI api not None, *, Named borrowed not None, dtypes, Guards guards not None):
        self.api = api
        self.borrowed = borrowed
        self.guards = guards
        for code, bits, lanes in dtypes:
            if lanes == 1 and 0 <= code < CODES and 0 < bits <= MOST_BITS:
                self.allowed[code][bits] = api.api.managed_tensor_to_py_object_no_sync != NULL

    cdef object take(self, const DLTensor* tensor, object owner):
        cdef PyObject* made
        cdef int axis
        if tensor.dtype.code >= CODES or tensor.dtype.bits > MOST_BITS or tensor.dtype.lanes != 1:
            return NotImplemented
        if not self.allowed[tensor.dtype.code][tensor.dtype.bits]:
            return NotImplemented
        # Element types are powers of two wide.
        if <uintptr_t> tensor.data & ((tensor.dtype.bits + 7) // 8 - 1):
            return NotImplemented
        for axis in range(tensor.ndim):
            if tensor.strides[axis] < 0:
                return NotImplemented
        if not self.guards.calls_pass():
            return NotImplemented
        borrowed = self.borrowed.now()
        if borrowed is not None:
            return borrowed(self.api, new_view(tensor, 0, True, owner))
        made = self.api.c_wrap(tensor, False, owner)
        if made == NULL:
            raise_set()
        result = <object> made
        Py_DECREF(made)
        return result


@cython.final
@cython.no_gc_clear
cdef class ArrayTaker(Taker):
    """Takes by a framework's own class of arrays, made on an address.

    Parameters
    ----------
    borrowed
        By address, size, owner and index of the device, the framework's object for memory that somebody else owns.
    pointer
        Makes a pointer into that, of the object and an offset in bytes.
    array
        Makes an array of shape, element type and pointer, and, where they aren't those of C order, strides in bytes.
    dtypes
        By DLPack triple, the framework's element types.
    max_ndim
        How many axes it takes.
    """

    cdef Named borrowed
    cdef object pointer, array
    cdef dict dtypes
    cdef int max_ndim

    def __cinit__(self, *, Named borrowed not None, pointer, array, dict dtypes not None, int max_ndim):
        self.borrowed = borrowed
        self.pointer = pointer
        self.array = array
        self.dtypes = dtypes
        self.max_ndim = max_ndim

    cdef object take(self, const DLTensor* tensor, object owner):
        cdef int64_t itemsize = tensor.dtype.bits * tensor.dtype.lanes // 8
        cdef int64_t below, above
        cdef int axis
        cdef bint plain
        if tensor.ndim > self.max_ndim or measure(tensor, itemsize, &below, &above) != POSSIBLE:
            # Of nothing the planner knows where it is.
            return NotImplemented
        dtype = self.dtypes.get((tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes))
        if dtype is None:
            return NotImplemented
        plain = follows_c(tensor)
        for axis in range(tensor.ndim):
            # Of one index the stride is anything, and it is handed on.
            if tensor.shape[axis] == 1:
                plain = False
        memory = self.borrowed.function()(
            <uintptr_t> tensor.data - below, below + above, owner, tensor.device.device_id
        )
        pointer = self.pointer(memory, below)
        shape = tuple([tensor.shape[axis] for axis in range(tensor.ndim)])
        if plain:
            return self.array(shape, dtype, pointer)
        return self.array(shape, dtype, pointer, tuple([tensor.strides[axis] * itemsize for axis in range(tensor.ndim)]))
