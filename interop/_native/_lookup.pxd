cpdef object find(tp, str name)
cdef object bound(attribute, x, tp)
