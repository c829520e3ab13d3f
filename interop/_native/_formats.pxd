from interop._native.dlpack cimport DLDataType

cdef bytes format_of(DLDataType dtype)
cdef str typestr_of(DLDataType dtype)
