# How many guards are open in the process: all that is looked at where nobody guards.
cdef int open_guards

cdef inline bint guarded() noexcept:
    return open_guards != 0

cpdef object permit(Event event)
cpdef object note(Event event)


cdef class Event:
    cdef readonly object copied, moved
    cdef readonly bint casts, asked_copy, asked_move, asked_cast
    cdef object what, why
