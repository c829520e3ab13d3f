"""Between ndarrays and Views, by numpy's C API: no protocol, no Python objects on the way."""

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

from interop._native._arrays cimport itemsize_of, size_of
from interop._native._calls cimport Py_TYPE
from interop._native._copying cimport copy_elements
from interop._native._export cimport host_accessible
from interop._native._layouts cimport MAX_AXES, c_order
from interop._native._making cimport check_layout, is_possible
from interop._native._view cimport View, blank_view, fill_view
from interop._native.dlpack cimport (
    FLAG_READ_ONLY,
    FLAG_SUBBYTE_PADDED,
    DLDataType,
    DLTensor,
    kDLCPU,
)

import array as arrays
import ctypes
import mmap

import numpy as np

from interop._dtypes import ROWS
from interop._words import name_of, text_of
from interop.errors import DeviceError, DTypeError, UnsupportedError

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyArray_Descr
    object PyArray_NewFromDescr(
        PyTypeObject* subtype,
        PyArray_Descr* descr,
        int nd,
        const cnp.npy_intp* dims,
        const cnp.npy_intp* strides,
        void* data,
        int flags,
        PyObject* obj,
    )
    int PyArray_SetBaseObject(cnp.ndarray array, PyObject* base) except -1
    bint PyArray_ISNOTSWAPPED(cnp.ndarray array) noexcept
    bint PyArray_Check(object array) noexcept
    PyObject* PyArray_BASE(cnp.ndarray array) noexcept
    int PyArray_TYPE(cnp.ndarray array) noexcept
    PyTypeObject* _NDARRAY "&PyArray_Type"
    bint PyArray_CHKFLAGS(cnp.ndarray array, int flags) noexcept
    void PyArray_CLEARFLAGS(cnp.ndarray array, int flags) noexcept
    object PyArray_NewLikeArray(cnp.ndarray prototype, int order, PyArray_Descr* descr, int subok)
    object PyArray_Empty(int nd, const cnp.npy_intp* dims, PyArray_Descr* descr, int fortran)
    int PyArray_CopyInto(cnp.ndarray dst, cnp.ndarray src) except -1
    enum:
        NPY_ARRAY_C_CONTIGUOUS
        NPY_ARRAY_OWNDATA
        NPY_ARRAY_WRITEABLE

cdef enum:
    TYPE_NUMBERS = 1024
    CODES = 32

# numpy's type number -> DLPack's triple (bits 0: none). ml_dtypes' types have numbers from 256 on.
cdef DLDataType _triples[TYPE_NUMBERS]

cdef struct Held:
    int bits
    # Borrowed from _keep.
    PyObject* descr


# DLPack's code and the length of its bits as a binary number -> numpy's dtype.
cdef Held _held[CODES][16]
cdef list _keep = []
cdef object _BYTE = np.dtype(np.uint8)
cdef int _max_ndim = 64 if int(np.__version__.split(".")[0]) >= 2 else 32


cdef inline int width(int bits) noexcept:
    """The length of `bits` as a binary number; no two element types of one code that numpy has share it."""
    cdef int length = 0
    while bits:
        bits >>= 1
        length += 1
    return length


cdef int fill_tables() except -1:
    memset(_triples, 0, sizeof(_triples))
    memset(_held, 0, sizeof(_held))
    for row in ROWS:
        if row.numpy is None or row.code >= CODES:
            continue
        _keep.append(row.numpy)
        _held[row.code][width(row.bits)] = Held(bits=row.bits, descr=<PyObject*> row.numpy)
        add_triple(row.numpy.num, row)
    # C has several names for one width (long, long long); numpy gives each a number.
    names = {row.numpy.name: row for row in ROWS if row.numpy is not None}
    for character in "bBhHiIlLqQ":
        dtype = np.dtype(character)
        add_triple(dtype.num, names[dtype.name])
    return 0


cdef int add_triple(int number, row) except -1:
    if 0 <= number < TYPE_NUMBERS:
        _triples[number].code = row.code
        _triples[number].bits = row.bits
        _triples[number].lanes = row.lanes
    return 0


fill_tables()


cdef PyObject* descr_of(DLDataType dtype) noexcept:
    cdef Held* held
    if dtype.lanes != 1 or dtype.code >= CODES:
        return NULL
    held = &_held[dtype.code][width(dtype.bits)]
    # Integers of 24 bits have the width of those of 16.
    return held.descr if held.bits == dtype.bits else NULL


cdef bint numpy_holds(DLDataType dtype) noexcept:
    """Whether numpy, with ml_dtypes, has an element type."""
    return descr_of(dtype) != NULL


cdef bint is_ndarray(object x) noexcept:
    return PyArray_Check(x)


cdef bint borrows(object array) noexcept:
    """Whether an object is an ndarray on memory that isn't its own."""
    return PyArray_Check(array) and not PyArray_CHKFLAGS(<cnp.ndarray> array, NPY_ARRAY_OWNDATA)


cdef int64_t nbytes_of(object array) noexcept:
    return cnp.PyArray_SIZE(<cnp.ndarray> array) * cnp.PyArray_ITEMSIZE(<cnp.ndarray> array)


cdef object undisguised(object array, object dtype):
    """View an ndarray's bits as a dtype of the same size."""
    if cnp.PyArray_ITEMSIZE(<cnp.ndarray> array) != (<cnp.dtype?> dtype).itemsize:
        raise DTypeError(f"{array.dtype} and {dtype} differ in size.")
    return viewed(<cnp.ndarray> array, dtype, array)


cdef object viewed(cnp.ndarray a, object dtype, object owner):
    """Make an ndarray of elements of this type on the memory of another one, which `owner` keeps alive."""
    # The call takes a reference to the dtype.
    Py_INCREF(dtype)
    result = PyArray_NewFromDescr(
        _NDARRAY, <PyArray_Descr*> dtype, cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_STRIDES(a),
        cnp.PyArray_DATA(a), cnp.PyArray_FLAGS(a) & NPY_ARRAY_WRITEABLE, NULL,
    )
    Py_INCREF(owner)
    PyArray_SetBaseObject(<cnp.ndarray> result, <PyObject*> owner)
    return result


# What keeps the memory of an ndarray alive and where it is. numpy itself only holds a reference to the object that it
# was made on: ndarray(buffer=...) and memmap let the buffer go at once, so that the object can be closed or resized.

# What as_strided puts between an array and what it was made from.
_STRIDED = type(np.lib.stride_tricks.as_strided(np.empty(1)).base)

# Whose memory is where its buffer says, or is gone: of another type's objects a buffer may be one part of many.
_MOVABLE = (bytearray, memoryview, mmap.mmap, arrays.array, ctypes.Structure.__base__)


# Not cleared by the garbage collector: the pointer would dangle for whatever finalizer still sees the memory.
@cython.final
@cython.no_gc_clear
@cython.freelist(16)
cdef class Export:
    """An ndarray, and an export of the buffer that it was made on: while it is held the memory stays where it is.

    Attributes
    ----------
    array
        The ndarray.
    """

    cdef readonly object array
    cdef Py_buffer buffer
    cdef bint exported

    def __dealloc__(self):
        if self.exported:
            PyBuffer_Release(&self.buffer)

    @property
    def exporter(self):
        """Whose buffer it is."""
        return <object> self.buffer.obj if self.exported else None


cdef inline PyObject* made_on(object array) noexcept:
    """The object that the memory of an ndarray belongs to, borrowed; NULL where it's numpy's own."""
    cdef PyObject* base = PyArray_BASE(<cnp.ndarray> array)
    while base != NULL and PyArray_Check(<object> base):
        base = PyArray_BASE(<cnp.ndarray> base)
    return base


cdef object keeper(object array):
    """The ndarray; with an export of the buffer that it was made on, if it was made on one.

    While the export is held, ``close()`` and ``resize()`` of that object raise BufferError.

    Raises
    ------
    UnsupportedError
        If the memory has been pulled away from under the array.
    """
    cdef PyObject* base = made_on(array)
    return array if base == NULL else held(array, <object> base)


cdef object quiet_keeper(object array):
    """The same without an error: None where the memory is gone."""
    cdef PyObject* base = made_on(array)
    if base == NULL:
        return array
    try:
        return held(array, <object> base)
    except Exception:
        return None


cdef object held(object array, object base):
    """What :func:`keeper` returns for an ndarray whose memory isn't numpy's."""
    cdef Export export
    if type(base) is _STRIDED:
        inner = keeper(base.base)
        return array if inner is base.base else (array, inner)
    # Nobody can close a View or bytes; and the small floats of a View have no buffer.
    if not PyObject_CheckBuffer(base) or type(base) is View or type(base) is bytes:
        return array
    export = Export.__new__(Export)
    try:
        PyObject_GetBuffer(base, &export.buffer, PyBUF_FULL_RO)
    except Exception as err:
        if isinstance(base, _MOVABLE):
            raise UnsupportedError(gone_text(base, text_of(err))) from err
        return array
    export.exported = True
    if isinstance(base, _MOVABLE) and not lies_in(<cnp.ndarray> array, &export.buffer):
        raise UnsupportedError(gone_text(base, "its memory is elsewhere now"))
    export.array = array
    return export


cdef gone_text(base, why):
    return (
        f"the memory of this ndarray is gone: the {name_of(type(base))} that it was made on has been closed, released "
        f"or resized ({why}). Make the array again."
    )


cdef bint lies_in(cnp.ndarray a, Py_buffer* buffer) noexcept:
    """Whether all elements of an ndarray are in the memory of a buffer."""
    cdef Py_ssize_t low = 0, high = 0, first = 0, last = 0
    cdef char* data = <char*> cnp.PyArray_DATA(a)
    if buffer.suboffsets != NULL:
        # A table of pointers: no address of it says where the others are.
        return True
    if not reach(cnp.PyArray_NDIM(a), <Py_ssize_t*> cnp.PyArray_DIMS(a), <Py_ssize_t*> cnp.PyArray_STRIDES(a), &low, &high):
        return True
    if buffer.strides == NULL:
        last = buffer.len - buffer.itemsize
    elif not reach(buffer.ndim, buffer.shape, buffer.strides, &first, &last):
        return False
    high += cnp.PyArray_ITEMSIZE(a)
    last += buffer.itemsize
    return <char*> buffer.buf + first <= data + low and data + high <= <char*> buffer.buf + last


cdef bint reach(int ndim, Py_ssize_t* shape, Py_ssize_t* strides, Py_ssize_t* low, Py_ssize_t* high) noexcept:
    """How many bytes below and above the first element the others begin; False where there are no elements."""
    cdef int axis
    for axis in range(ndim):
        if shape[axis] == 0:
            return False
        if strides[axis] < 0:
            low[0] += (shape[axis] - 1) * strides[axis]
        else:
            high[0] += (shape[axis] - 1) * strides[axis]
    return True


def lasting(array, /):
    """The ndarray itself, or one on the same memory that holds an export of the buffer that it was made on.

    Raises
    ------
    UnsupportedError
        If the memory has been pulled away from under the array.
    """
    owner = keeper(array)
    return array if owner is array else viewed(<cnp.ndarray> array, array.dtype, owner)


cdef bint borrow_ndarray(object array, DLTensor* tensor, bint* readonly) noexcept:
    """Describe an ndarray in `tensor`, which has room for MAX_AXES axes; False where DLPack can't express it."""
    cdef cnp.ndarray a = <cnp.ndarray> array
    cdef int number = PyArray_TYPE(a)
    cdef int axis, shift, ndim = cnp.PyArray_NDIM(a)
    cdef int64_t itemsize
    cdef cnp.npy_intp step
    if number < 0 or number >= TYPE_NUMBERS or _triples[number].bits == 0 or not PyArray_ISNOTSWAPPED(a):
        return False
    tensor.dtype = _triples[number]
    # Sizes are powers of two, and a division takes as long as the rest of an axis.
    itemsize = (tensor.dtype.bits + 7) >> 3
    shift = width(itemsize) - 1
    for axis in range(ndim):
        step = cnp.PyArray_STRIDES(a)[axis]
        tensor.shape[axis] = cnp.PyArray_DIMS(a)[axis]
        tensor.strides[axis] = step >> shift
        if step & (itemsize - 1):
            if tensor.shape[axis] > 1:
                return False
            # Of one index no step is ever taken.
            tensor.strides[axis] = 1
    tensor.ndim = ndim
    tensor.data = cnp.PyArray_DATA(a)
    tensor.device.device_type = kDLCPU
    tensor.device.device_id = 0
    tensor.byte_offset = 0
    readonly[0] = not cnp.PyArray_ISWRITEABLE(a)
    return True


cpdef View view_from_ndarray(object array):
    """Borrow the memory of an ndarray; the View holds the array, and the buffer that it was made on.

    Raises
    ------
    DTypeError
        If DLPack can't express the element type, or the strides are no multiple of its size.
    UnsupportedError
        If it's no ndarray, its memory is gone, or no memory can be as it says.
    """
    cdef View view
    cdef DLTensor tensor
    cdef int64_t[MAX_AXES] shape
    cdef int64_t[MAX_AXES] strides
    cdef bint readonly = False
    if not PyArray_Check(array):
        raise UnsupportedError(f"a {name_of(type(array))} is no ndarray.")
    owner = keeper(array)
    # Allocated before the array is looked at: that may run the collector, and a finalizer may give it another shape.
    view = blank_view()
    tensor.shape = shape
    tensor.strides = strides
    if not borrow_ndarray(array, &tensor, &readonly):
        raise DTypeError(f"DLPack can't express an ndarray of {array.dtype} with strides of {array.strides} bytes. Copy it first.")
    fill_view(view, &tensor, FLAG_READ_ONLY if readonly else 0, True, owner)
    if tensor.dtype.bits < 8:
        view.flags |= FLAG_SUBBYTE_PADDED
    # as_strided believes every stride.
    if not is_possible(view):
        check_layout(view)
    return view


cdef object new_ndarray(const DLTensor* tensor, bint readonly, object owner):
    """Make an ndarray on memory that `owner` keeps alive; the element type is one that numpy holds."""
    cdef cnp.npy_intp[MAX_AXES] dims
    cdef cnp.npy_intp[MAX_AXES] steps
    cdef int64_t itemsize = (tensor.dtype.bits + 7) // 8
    cdef PyObject* descr = descr_of(tensor.dtype)
    cdef int axis
    for axis in range(tensor.ndim):
        dims[axis] = tensor.shape[axis]
        steps[axis] = tensor.strides[axis] * itemsize
    # The call takes a reference to the dtype.
    Py_INCREF(<object> descr)
    if tensor.data == NULL:
        # numpy allocates, since it has no arrays without memory; flags would mean Fortran order there.
        array = PyArray_NewFromDescr(_NDARRAY, <PyArray_Descr*> descr, tensor.ndim, dims, NULL, NULL, 0, NULL)
    else:
        array = PyArray_NewFromDescr(
            _NDARRAY, <PyArray_Descr*> descr, tensor.ndim, dims, steps, tensor.data, 0 if readonly else NPY_ARRAY_WRITEABLE, NULL
        )
    if tensor.data != NULL:
        Py_INCREF(owner)
        PyArray_SetBaseObject(<cnp.ndarray> array, <PyObject*> owner)
    elif readonly:
        array.flags.writeable = False
    return array


# Copies: numpy's own, in its own memory.

cdef object empty_like(cnp.ndarray array, int order, object dtype):
    """An array of the same shape, in numpy's order, of a dtype; not filled in."""
    # The call takes a reference to the dtype.
    Py_INCREF(dtype)
    return PyArray_NewLikeArray(array, order, <PyArray_Descr*> dtype, 0)


cdef object empty_in_order(const DLTensor* tensor, bint fortran):
    """An array of a tensor's shape and element type, which numpy holds; not filled in."""
    cdef cnp.npy_intp[MAX_AXES] dims
    cdef PyObject* descr = descr_of(tensor.dtype)
    cdef int axis
    for axis in range(tensor.ndim):
        dims[axis] = tensor.shape[axis]
    Py_INCREF(<object> descr)
    return PyArray_Empty(tensor.ndim, dims, <PyArray_Descr*> descr, fortran)


cdef int copy_into(object dst, object src) except -1:
    """Write one array into another, cast as numpy casts without asking."""
    return PyArray_CopyInto(<cnp.ndarray> dst, <cnp.ndarray> src)


cdef void restrict(object array) noexcept:
    """Mark an array readonly."""
    PyArray_CLEARFLAGS(<cnp.ndarray> array, NPY_ARRAY_WRITEABLE)


cdef void* data_of(object array) noexcept:
    return cnp.PyArray_DATA(<cnp.ndarray> array)


cdef DLDataType triple_of(object array) noexcept:
    """DLPack's triple of an array's element type; of none, where it has no such type, the bits are 0."""
    cdef int number = PyArray_TYPE(<cnp.ndarray> array)
    cdef DLDataType none
    if 0 <= number < TYPE_NUMBERS:
        return _triples[number]
    none.code = none.bits = none.lanes = 0
    return none


cdef bint is_plain_ndarray(object x) noexcept:
    """Whether an object is of numpy's type itself."""
    return Py_TYPE(<PyObject*> x) == _NDARRAY


cdef bint is_in_c_order(object array) noexcept:
    return PyArray_CHKFLAGS(<cnp.ndarray> array, NPY_ARRAY_C_CONTIGUOUS)


cdef object aligned_copy(const DLTensor* tensor):
    """An array of the same values in C order, whose memory begins at a multiple of 64: others take that as it is."""
    cdef cnp.npy_intp size = size_of(tensor) * itemsize_of(tensor) + 63
    cdef DLTensor into = tensor[0]
    cdef int64_t[MAX_AXES] strides
    # Nothing here runs the collector. The call takes a reference to the dtype.
    Py_INCREF(_BYTE)
    memory = PyArray_Empty(1, &size, <PyArray_Descr*> _BYTE, 0)
    into.data = <void*> ((<uintptr_t> data_of(memory) + 63) & ~<uintptr_t> 63)
    into.strides = strides
    c_order(tensor.ndim, tensor.shape, strides)
    copy_elements(&into, tensor)
    return new_ndarray(&into, False, memory)


cdef bint is_empty(object array) noexcept:
    return cnp.PyArray_SIZE(<cnp.ndarray> array) == 0


def ndarray_from_view(View view not None, /):
    """Make an ndarray on a View's host memory, readonly if the View is.

    Raises
    ------
    DTypeError, DeviceError, UnsupportedError
        If numpy has no such element type, or not so many axes, or can't reach the memory.
    """
    if not host_accessible(view.tensor.device.device_type):
        raise DeviceError(f"numpy can't reach memory on {view.device}. Move it to the host first.")
    if not numpy_holds(view.tensor.dtype):
        raise DTypeError(f"numpy has no element type {view.dtype}. Ask for another dtype.")
    if view.tensor.ndim > _max_ndim:
        raise UnsupportedError(f"numpy has at most {_max_ndim} axes, and this has {view.tensor.ndim}. Reshape it first.")
    return new_ndarray(&view.tensor, view.flags & FLAG_READ_ONLY != 0, view.owner if view.owner is not None else view)
