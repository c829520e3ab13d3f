"""Loans of device memory, and the streams that frameworks work on.

What a loan does when it is given back is its subclass's, in Python: here is only the case in which nothing has to wait.
"""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uintptr_t

import collections
import os
import sys

from interop._native._calls cimport Py_TYPE
from interop._native._import cimport ExchangeAPI
from interop._native.dlpack cimport kDLCUDA

from interop.errors import DeviceError

cdef extern from "Python.h":
    ctypedef struct TypeSlots "PyTypeObject":
        void* tp_init
        object (*tp_new)(PyTypeObject* cls, object arguments, PyObject* keywords)

cdef enum:
    # CUDA's number for the legacy default stream, which is also the null handle.
    LEGACY = 1

# How often the process has been forked on the way to this one, since the first loan: asking for its number is a system
# call.
cdef long _forks = 0
cdef bint _watching = False


def _note_fork():
    global _forks
    _forks += 1


cdef int watch_forks() except -1:
    """Count forks from now on: a hook can't be taken out again, so a process that lends no device memory gets none."""
    global _watching
    if not _watching:
        _watching = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_note_fork)
    return 0


FORKED = (
    "this process was forked from one that had started CUDA, which doesn't exist in such a child. Start processes by "
    "multiprocessing's \"spawn\" or \"forkserver\", or fork before the first call of CUDA."
)


cdef int refuse_child(object streams) except -1:
    """Refuse to lend in a child of a process that had started CUDA; one that was forked before may.

    Raises
    ------
    DeviceError
    """
    global _forks
    if not _watching:
        watch_forks()
        # The parent lent nothing before it forked, so only the framework knows whether it had started CUDA.
        forked = getattr(streams, "forked", None)
        if forked is not None and forked():
            _forks += 1
    if _forks:
        raise DeviceError(FORKED)
    return 0


# What a framework's streams are known by.

cdef class Streams:
    """The base of the ways to ask for the stream that a framework works on."""

    cdef uintptr_t handle(self, int index) except 0:
        """The handle of the current stream of a CUDA device."""
        raise NotImplementedError

    def __call__(self, int index, /):
        return self.handle(index)


@cython.final
@cython.no_gc_clear
cdef class ExchangeStreams(Streams):
    """By a C exchange API.

    Parameters
    ----------
    api
        One that knows streams.
    """

    cdef ExchangeAPI api

    def __cinit__(self, ExchangeAPI api not None):
        if api.api.current_work_stream == NULL:
            raise TypeError("this exchange API knows no streams")
        self.api = api

    @staticmethod
    def of(ExchangeAPI api not None):
        """The streams of an exchange API, or None where it knows none."""
        return None if api.api.current_work_stream == NULL else ExchangeStreams(api)

    cdef uintptr_t handle(self, int index) except 0:
        cdef void* stream = NULL
        if self.api.api.current_work_stream(kDLCUDA, index, &stream) != 0:
            # Raises what is pending, by our own class.
            self.api.current_work_stream(kDLCUDA, index)
            raise RuntimeError(f"no current stream on device {index} can be told")
        return <uintptr_t> stream or LEGACY


@cython.final
@cython.no_gc_clear
cdef class CalledStreams(Streams):
    """By a framework's function.

    Parameters
    ----------
    function
        Gives the stream that is current on the device of an index.
    handle
        The attribute of it that is the handle.
    """

    cdef object function
    cdef str attribute

    def __cinit__(self, function, str handle not None):
        self.function = function
        self.attribute = handle

    cdef uintptr_t handle(self, int index) except 0:
        stream = self.function(index)
        return <uintptr_t> getattr(stream, self.attribute) or LEGACY


@cython.final
@cython.no_gc_clear
cdef class CurrentStream:
    """The stream that a framework works on, on one device: called, it gives the handle.

    Parameters
    ----------
    streams
        The way to ask.
    index
        Of the CUDA device.
    """

    def __cinit__(self, Streams streams not None, int index):
        self.streams = streams
        self.index = index

    def __call__(self):
        return self.streams.handle(self.index)


# Loans.

cdef object _postponed = collections.deque()
# Held here: when the last modules are torn down, their names are None.
cdef object _is_finalizing = sys.is_finalizing


@cython.no_gc_clear
cdef class Loan:
    """Owns device memory that another library works on.

    A subclass says in ``give_back`` what happens when it is dropped and somebody may have to wait.

    Parameters
    ----------
    memory
        What keeps the memory alive.
    device
        Where it is.
    streams
        What knows on which streams its framework reuses memory.
    homes
        Where that is known already, the streams that the memory is reused on.
    readers
        Where they are known already, the streams that read it.
    """

    #: Loans that couldn't be given back yet.
    postponed = _postponed

    def __init__(self, memory, device, streams, tuple homes=None, tuple readers not None=()):
        self.memory = memory
        self.device = device
        self.streams = streams
        self.asks = homes is None
        self.homes = () if homes is None else homes
        self.readers = readers
        if not _watching or _forks:
            refuse_child(streams)
        self.forks = _forks
        if len(_postponed):
            self.settle_postponed()

    def settle_postponed(self):
        """Give back what was postponed; what still can't be is postponed again."""
        for _ in range(len(_postponed)):
            try:
                loan = _postponed.popleft()
            except IndexError:
                # Another thread was faster.
                return
            loan.give_back()

    def give_back(self):
        """Have whoever reuses the memory wait for those that read it."""

    @property
    def in_child(self):
        """Whether this is a forked child of the process that lent the memory."""
        return self.forks != _forks

    def stayed_home(self):
        """Whether the memory was read where it is reused, on one stream that is current still: nothing has to wait."""
        return self.is_home()

    cdef bint is_home(self) except -1:
        cdef object reader, now
        if self.homes is not self.readers or len(self.readers) != 1 or self.forks != _forks:
            return False
        reader = self.readers[0]
        now = reader.now
        if type(now) is CurrentStream:
            return (<CurrentStream> now).streams.handle((<CurrentStream> now).index) == <uintptr_t> reader
        return now is not None and now() == reader

    def __del__(self):
        # At the end nothing is reused any more, and whoever could be asked is torn down already.
        if self.readers is None or len(self.readers) == 0 or _is_finalizing():
            return
        # Looked up at each call, as a method of Python's is; the one that stands here costs no call.
        stayed_home = (<object> Py_TYPE(<PyObject*> self)).stayed_home
        try:
            home = self.is_home() if stayed_home is _stayed_home else stayed_home(self)
        except Exception:
            # A stream that can't be asked for any more: the long way finds out what that means.
            home = False
        if not home:
            self.give_back()


cdef object _stayed_home = Loan.stayed_home
cdef void* _own_init = (<TypeSlots*> <PyObject*> Loan).tp_init


cdef object new_loan(type cls, object memory, object device, object streams, tuple there):
    """A loan of memory that is read on the stream that it is reused on, and on no other."""
    cdef TypeSlots* slots = <TypeSlots*> <PyObject*> cls
    cdef Loan loan
    if slots.tp_init != _own_init or not issubclass(cls, Loan) or len(_postponed):
        return cls(memory, device, streams, there, there)
    loan = <Loan> slots.tp_new(<PyTypeObject*> slots, (), NULL)
    loan.memory = memory
    loan.device = device
    loan.streams = streams
    loan.asks = False
    loan.homes = there
    loan.readers = there
    if not _watching or _forks:
        refuse_child(streams)
    loan.forks = _forks
    return loan
