cdef str name_of(tp)
cdef str said(BaseException error)
cdef str shown(x)
