"""Calls and look-ups without what CPython's own lay around them; for what runs at each call."""

from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    /* What looking an attribute up does once it has found its descriptor; NULL without an exception where a class of
       Python has lost its __get__ since. */
    static CYTHON_INLINE PyObject *interop_get_attribute(PyObject *descriptor, PyObject *x) {
        descrgetfunc get = Py_TYPE(descriptor)->tp_descr_get;
        return get == NULL ? NULL : get(descriptor, x, (PyObject *) Py_TYPE(x));
    }

    /* Without the frame that CPython's own calls lay around a method or a function of C. */
    static CYTHON_INLINE PyObject *interop_call_one(PyObject *function, PyObject *x) {
        if (Py_IS_TYPE(function, &PyMethodDescr_Type) && PyObject_TypeCheck(x, PyDescr_TYPE(function))) {
            PyMethodDef *method = ((PyMethodDescrObject *) function)->d_method;
            if (method->ml_flags == METH_NOARGS) return method->ml_meth(x, NULL);
            if (method->ml_flags == (METH_VARARGS | METH_KEYWORDS)) {
                PyObject *none = PyTuple_New(0);
                if (none == NULL) return NULL;
                PyObject *result = ((PyCFunctionWithKeywords) (void (*)(void)) method->ml_meth)(x, none, NULL);
                Py_DECREF(none);
                return result;
            }
        }
        return PyObject_CallOneArg(function, x);
    }

    /* An attribute or a method without arguments: by its function of C, where the object is of the descriptor's type. */
    static CYTHON_INLINE PyObject *interop_ask(PyObject *descriptor, PyObject *x) {
        if (Py_IS_TYPE(descriptor, &PyGetSetDescr_Type) && PyObject_TypeCheck(x, PyDescr_TYPE(descriptor))) {
            PyGetSetDef *attribute = ((PyGetSetDescrObject *) descriptor)->d_getset;
            return attribute->get(x, attribute->closure);
        }
        if (Py_TYPE(descriptor)->tp_descr_get != NULL && !PyCallable_Check(descriptor))
            return interop_get_attribute(descriptor, x);
        return interop_call_one(descriptor, x);
    }

    static CYTHON_INLINE PyObject *interop_call_none(PyObject *function) {
        if (PyCFunction_CheckExact(function) && PyCFunction_GET_FLAGS(function) == METH_NOARGS)
            return PyCFunction_GET_FUNCTION(function)(PyCFunction_GET_SELF(function), NULL);
        return PyObject_CallNoArgs(function);
    }

    /* A whole number, a new reference or NULL with an exception set; 0 where it is none. CPython's own way takes longer
       for an address than torch takes to give it. */
    static CYTHON_INLINE int interop_number(PyObject *answer, uint64_t *value) {
        if (answer == NULL) {
            PyErr_Clear();
            return 0;
        }
        int found = 0;
    #if PYLONG_BITS_IN_DIGIT == 30 && PY_VERSION_HEX < 0x030F0000
        if (PyLong_CheckExact(answer)) {
    #if PY_VERSION_HEX >= 0x030C0000
            uintptr_t tag = ((PyLongObject *) answer)->long_value.lv_tag;
            Py_ssize_t count = (tag & 3) == 2 ? -1 : (Py_ssize_t) (tag >> 3);
            digit *digits = ((PyLongObject *) answer)->long_value.ob_digit;
    #else
            Py_ssize_t count = Py_SIZE(answer);
            digit *digits = ((PyLongObject *) answer)->ob_digit;
    #endif
            if (count >= 0 && count <= 2) {
                *value = (count > 1 ? (uint64_t) digits[1] << 30 : 0) | (count > 0 ? digits[0] : 0);
                found = 1;
            }
        }
    #endif
        if (!found) {
            *value = PyLong_AsUnsignedLongLong(answer);
            found = *value != (uint64_t) -1 || !PyErr_Occurred();
            if (!found) PyErr_Clear();
        }
        Py_DECREF(answer);
        return found;
    }

    /* A strong reference to what a dictionary has under a key, or NULL. */
    static CYTHON_INLINE PyObject *interop_dict_get(PyObject *dict, PyObject *key) {
        PyObject *found = NULL;
    #if PY_VERSION_HEX >= 0x030D0000
        if (PyDict_GetItemRef(dict, key, &found) < 0) PyErr_Clear();
    #else
        found = PyDict_GetItemWithError(dict, key);
        if (found == NULL) PyErr_Clear();
        Py_XINCREF(found);
    #endif
        return found;
    }

    /* The last answer of one caller, true for as long as the dictionary isn't changed (PEP 699: until Python 3.14).
       What was found is alive for as long too; what wasn't isn't put in without a change. */
    typedef struct { uint64_t version; PyObject *key, *found; } interop_memo;

    static CYTHON_INLINE PyObject *interop_recall(PyObject *dict, PyObject *key, interop_memo *memo) {
    #if PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
    #if defined(__GNUC__)
    #pragma GCC diagnostic push
    #pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    #endif
        PyDictObject *table = (PyDictObject *) dict;
        if (memo->key != key || memo->version != table->ma_version_tag) {
            /* The lookup may run Python code; and what an object's own dictionary has can change behind its back. */
            uint64_t version = table->ma_version_tag;
            PyObject *found = interop_dict_get(dict, key);
            if (version != table->ma_version_tag || table->ma_values != NULL) return found;
            memo->version = version;
            memo->key = key;
            memo->found = found;
            return found;
        }
        Py_XINCREF(memo->found);
        return memo->found;
    #if defined(__GNUC__)
    #pragma GCC diagnostic pop
    #endif
    #else
        return interop_dict_get(dict, key);
    #endif
    }

    /* The route of exactly one type, a strong reference, or NULL. A metaclass of Python may call its types equal to any
       other, so that a dictionary finds under torch's tensor what is none. */
    static CYTHON_INLINE PyObject *interop_route(PyObject *table, PyTypeObject *type, interop_memo *memo) {
        PyTypeObject *meta = Py_TYPE(type);
        if (meta->tp_hash != PyType_Type.tp_hash || meta->tp_richcompare != PyType_Type.tp_richcompare) return NULL;
        return interop_recall(table, (PyObject *) type, memo);
    }

    /* Cython has no vectorcall for classes of its own; CPython reads its address from the instance. */
    static CYTHON_INLINE void interop_use_vectorcall(PyObject *type, Py_ssize_t offset) {
        ((PyTypeObject *) type)->tp_vectorcall_offset = offset;
        ((PyTypeObject *) type)->tp_call = PyVectorcall_Call;
        ((PyTypeObject *) type)->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        PyType_Modified((PyTypeObject *) type);
    }
    """
    # With plain pointers, which may be NULL.
    PyObject* get_attribute "interop_get_attribute" (PyObject* descriptor, PyObject* x) noexcept
    PyObject* call_one "interop_call_one" (PyObject* function, PyObject* x) noexcept
    PyObject* ask "interop_ask" (PyObject* descriptor, PyObject* x) noexcept
    PyObject* call_none "interop_call_none" (PyObject* function) noexcept
    bint number "interop_number" (PyObject* answer, uint64_t* value) noexcept
    PyObject* dict_get "interop_dict_get" (PyObject* table, PyObject* key) noexcept
    ctypedef struct Memo "interop_memo":
        pass
    PyObject* recall "interop_recall" (PyObject* table, PyObject* key, Memo* memo) noexcept
    PyObject* route_of "interop_route" (PyObject* table, PyTypeObject* tp, Memo* memo) noexcept
    void use_vectorcall "interop_use_vectorcall" (object tp, Py_ssize_t offset) noexcept

cdef extern from "Python.h":
    const PyObject* Py_True
    const PyObject* Py_False
    PyObject* vectorcall "PyObject_Vectorcall" (
        PyObject* function, PyObject** arguments, size_t nargsf, PyObject* names
    ) noexcept
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf) noexcept
    PyTypeObject* Py_TYPE(PyObject* x) noexcept
    Py_ssize_t PyTuple_GET_SIZE(PyObject* x) noexcept
    PyObject* PyTuple_GET_ITEM(PyObject* x, Py_ssize_t index) noexcept
    void Py_INCREF(PyObject* x) noexcept
    bint PyUnicode_CheckExact(PyObject* x) noexcept
    void Py_DECREF(PyObject* x) noexcept
    void Py_XDECREF(PyObject* x) noexcept


cdef inline bint answers(PyObject* answer, const PyObject* wanted) noexcept:
    """Whether an answer, a new reference or NULL with an exception set, is the one wanted."""
    if answer == NULL:
        PyErr_Clear()
        return False
    # What is wanted is alive elsewhere, so that only the pointer counts.
    Py_DECREF(answer)
    return answer == wanted
