from interop._native._view cimport View

cdef bint is_possible(View view) noexcept
cdef int check_layout(View view) except -1
