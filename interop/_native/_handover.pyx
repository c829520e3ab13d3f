"""Shortcuts of device memory: from one framework to another on the stream that both work on, and to the host."""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from interop._native._calls cimport Py_True, PyTuple_GET_ITEM, PyTuple_GET_SIZE, answers, ask
from interop._native._lending cimport Lender, Readers, Taker
from interop._native._plain cimport PlainArrays, PlainTensors, call
from interop._native._shortcuts cimport Shortcut
from interop._native._layouts cimport MAX_AXES, follows_c
from interop._native._view cimport View, new_view
from interop._native.dlpack cimport DLTensor, kDLCUDA

cdef enum:
    CODES = 32
    MOST_BITS = 128


@cython.final
@cython.no_gc_clear
cdef class Handover(Shortcut):
    """From one framework to another, for memory that both work on with the same stream.

    Parameters
    ----------
    lend
        The source's half: exports an object for a reader, or returns NotImplemented where anything is unusual.
    reader
        The stream that the target works on, by the index of the device.
    take
        The target's half: makes an array of a View, or returns NotImplemented.
    """

    cdef object lend, take
    cdef Readers readers

    def __cinit__(self, lend, reader, take):
        self.lend = lend
        self.take = take
        self.readers = Readers(reader)

    cdef object attempt(self, object x):
        try:
            return self.lent(x)
        except Exception:
            # The planner knows what is wrong, and says it.
            return NotImplemented

    cdef object lent(self, object x):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        cdef View view
        if not isinstance(self.lend, Lender):
            lent = self.lend(x, self.readers.ask)
            return lent if lent is NotImplemented else self.take(lent)
        loan = (<Lender> self.lend).lend(x, self.readers, &tensor, lengths)
        if loan is None:
            return NotImplemented
        if isinstance(self.take, Taker):
            return (<Taker> self.take).take(&tensor, loan)
        return self.take(new_view(&tensor, 0, True, loan))


@cython.final
@cython.no_gc_clear
cdef class ExchangeMove(Shortcut):
    """To the host by a framework's own calls, of plain tensors in C order.

    Parameters
    ----------
    plain
        Which tensors are plain.
    dtypes
        The DLPack triples of the element types that the calls take.
    calls
        Called in turn, each with what the one before has made.
    is_host
        The descriptor of whether a tensor is on the host already, where nothing moves.
    """

    cdef PlainTensors plain
    cdef tuple calls
    cdef object is_host
    # By code and bits.
    cdef uint8_t[CODES][MOST_BITS + 1] allowed

    def __cinit__(self, PlainTensors plain not None, *, dtypes, tuple calls not None, is_host):
        self.plain = plain
        self.is_host = is_host
        self.calls = calls
        for code, bits, lanes in dtypes:
            if lanes == 1 and 0 <= code < CODES and 0 < bits <= MOST_BITS:
                self.allowed[code][bits] = True

    cdef object attempt(self, object x):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        cdef Py_ssize_t place
        if answers(ask(<PyObject*> self.is_host, <PyObject*> x), Py_True):
            return NotImplemented
        try:
            if self.plain.describe(x, &tensor, lengths) is None or tensor.device.device_type != kDLCUDA:
                return NotImplemented
            if tensor.data == NULL or not follows_c(&tensor):
                return NotImplemented
            if tensor.dtype.code >= CODES or tensor.dtype.bits > MOST_BITS:
                return NotImplemented
            if not self.allowed[tensor.dtype.code][tensor.dtype.bits]:
                return NotImplemented
            made = x
            for place in range(PyTuple_GET_SIZE(<PyObject*> self.calls)):
                made = call(<object> PyTuple_GET_ITEM(<PyObject*> self.calls, place), made)
            return made
        except Exception:
            return NotImplemented


@cython.final
@cython.no_gc_clear
cdef class ArrayMove(Shortcut):
    """To the host by a framework's own call, of plain arrays in C order on the device that is current.

    Parameters
    ----------
    plain
        Which arrays are plain.
    device
        Gives the index of the device that is current.
    move
        The framework's call.
    """

    cdef PlainArrays plain
    cdef object device, move

    def __cinit__(self, PlainArrays plain not None, *, device, move):
        self.plain = plain
        self.device = device
        self.move = move

    cdef object attempt(self, object x):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        try:
            if self.plain.describe(x, &tensor, lengths) is None or not follows_c(&tensor):
                return NotImplemented
            if <int> self.device() != tensor.device.device_id:
                return NotImplemented
            return call(self.move, x)
        except Exception:
            return NotImplemented
