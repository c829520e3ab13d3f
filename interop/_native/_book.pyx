"""The book: which entry a call has, by exact type, target and options."""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.module cimport PyModule_Check
from cpython.object cimport Py_EQ, PyObject, PyTypeObject

from interop._native._calls cimport (
    Py_DECREF,
    Py_False,
    Py_True,
    Py_TYPE,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyUnicode_CheckExact,
    dict_get,
    route_of,
)
from interop._native._readers cimport Reader
from interop._native._recipes cimport Entry, current_epoch, framework_table, reader_table

cdef extern from "Python.h":
    # With plain pointers, and -1 with an exception set: nothing is raised where it is called.
    int compare "PyObject_RichCompareBool" (PyObject* a, PyObject* b, int how) noexcept

# The device of host memory, by name.
cdef str HOST = "cpu"

cdef enum:
    SLOTS = 256
    MOST_VALUES = 512


@cython.final
@cython.no_gc_clear
cdef class Slot:
    """What one way to call had for an answer: by the identity of type, target and values, which it owns."""

    cdef bint holds(self, PyTypeObject* type) noexcept:
        return self.type == type and self.epoch == current_epoch()


@cython.final
@cython.no_gc_clear
cdef class Book:
    """Finds the entry of a call.

    Parameters
    ----------
    names
        Of the options, seven; what isn't said is None, and False is so for `flags`.
    flags
        Names of the options for which False means that nothing is said.
    parse
        Called with a name and a value: the value in its one internal form, or NotImplemented where that can't be kept
        or isn't one.
    make
        Called with an object, a target and the parsed values in a tuple: an Entry, or None.
    """

    def __cinit__(self, tuple names not None, tuple flags not None, *, parse, make):
        if len(names) != OPTIONS:
            raise TypeError(f"{OPTIONS} options, not {names!r}")
        self.names = names
        self.unsaid = tuple([False if name in flags else None for name in names])
        self.parse = parse
        self.make = make
        self.parsed = {}
        self.entries = {}
        self.slots = [None] * SLOTS

    def recipe(self, x, target, dict options not None, /):
        """The recipe that a call with these options would apply; None where there is none that can be told by a look."""
        cdef tuple names = tuple(options)
        cdef PyObject* values[OPTIONS]
        cdef Py_ssize_t place
        if len(names) > OPTIONS:
            return None
        for place in range(len(names)):
            # Alive in the dictionary.
            values[place] = <PyObject*> options[names[place]]
        entry = self.entry_of(<PyObject*> x, target, values, <PyObject*> names)
        return None if entry is None else entry.known(x)

    cdef Entry entry_of(self, PyObject* x, object target, PyObject** values, PyObject* names):
        """The entry of a call, or None."""
        cdef Slot slot = self.slot_of(x, target, values, names, NULL)
        return None if slot is None else slot.entry

    cdef Entry entry_like(self, PyObject* x, PyObject* reference, PyObject** values, PyObject* names):
        """The entry of a call whose target and device are those of an object in host memory; None for other objects."""
        cdef PyObject* reader = route_of(<PyObject*> reader_table, Py_TYPE(reference), &self.memo_like)
        cdef PyObject* framework
        cdef Slot slot
        if reader == NULL:
            return None
        Py_DECREF(reader)
        if not (<Reader> reader).on_host(reference):
            return None
        framework = dict_get(<PyObject*> framework_table, <PyObject*> Py_TYPE(reference))
        if framework == NULL:
            return None
        target = <object> framework
        Py_DECREF(framework)
        slot = self.slot_of(x, target, values, names, <PyObject*> HOST)
        return None if slot is None else slot.entry

    cdef Slot slot_of(self, PyObject* x, object target, PyObject** values, PyObject* names, PyObject* device):
        """The slot of a call, or None; what isn't a value of its option has none, and never raises here."""
        cdef PyObject* placed[OPTIONS]
        cdef PyTypeObject* type = Py_TYPE(x)
        cdef PyObject* reader
        cdef Slot slot
        cdef int place
        cdef size_t index = (<size_t> type >> 4) ^ (<size_t> <PyObject*> target >> 5)
        # What is no name and no module is no target, and isn't to be kept alive here.
        if not (PyUnicode_CheckExact(<PyObject*> target) or PyModule_Check(target)) or not self.place(placed, values, names):
            return None
        for place in range(OPTIONS):
            if not lasts(placed[place]):
                return None
        if device != NULL and placed[0] == <PyObject*> None:
            placed[0] = device
        for place in range(OPTIONS):
            index = index * 31 + (<size_t> token_of(placed[place]) >> 4)
        index = (index ^ index >> 8) % SLOTS
        found = self.slots[index]
        if found is not None:
            slot = <Slot> found
            if slot.holds(type) and slot.target is target and same(slot.values, placed):
                return slot
        reader = route_of(<PyObject*> reader_table, type, &self.memo)
        if reader == NULL:
            return None
        Py_DECREF(reader)
        try:
            entry = self.look_up(<object> x, target, placed)
        except Exception:
            # A value's own hash or comparison: the planner says it.
            return None
        if entry is False:
            return None
        slot = Slot.__new__(Slot)
        slot.type = type
        slot.target = target
        # None too: there is no entry, and that needn't be asked again.
        slot.entry = entry
        slot.epoch = current_epoch()
        slot.kept = tuple([<object> placed[place] for place in range(OPTIONS)])
        for place in range(OPTIONS):
            slot.values[place] = placed[place]
        self.slots[index] = slot
        return slot

    cdef bint place(self, PyObject** placed, PyObject** values, PyObject* names) except -1:
        """Sort what a call says by option; False where a name is none."""
        cdef int place
        cdef Py_ssize_t index, count = 0 if names == NULL else PyTuple_GET_SIZE(names)
        cdef PyObject* name
        for place in range(OPTIONS):
            placed[place] = PyTuple_GET_ITEM(<PyObject*> self.unsaid, place)
        for index in range(count):
            name = PyTuple_GET_ITEM(names, index)
            for place in range(OPTIONS):
                if PyTuple_GET_ITEM(<PyObject*> self.names, place) == name:
                    break
            else:
                # One that isn't interned.
                if <object> name not in self.names:
                    return False
                place = self.names.index(<object> name)
            placed[place] = values[index]
        return True

    cdef object look_up(self, object x, object target, PyObject** placed):
        """By the values' equality: what is made anew at each call has one internal form. False where a value has none."""
        cdef int place
        cdef list parsed = [None] * OPTIONS
        for place in range(OPTIONS):
            value = <object> placed[place]
            if value is self.unsaid[place]:
                continue
            # The type too, since True == 1 and only one of them is a value of copy.
            key = (place, type(value), value)
            known = self.parsed.get(key, self)
            if known is self:
                known = self.parse(self.names[place], value)
                if known is not NotImplemented:
                    if len(self.parsed) >= MOST_VALUES:
                        self.parsed.clear()
                    self.parsed[key] = known
            if known is NotImplemented:
                return False
            parsed[place] = known
        key = (type(x), target, tuple(parsed), current_epoch())
        entry = self.entries.get(key, self)
        if entry is self:
            entry = self.make(x, target, tuple(parsed))
            if len(self.entries) >= MOST_VALUES:
                self.entries.clear()
            self.entries[key] = entry
        return entry


cdef extern from *:
    """
    /* Of a type that was made while the program ran, an object or the type itself may have to die, and its answers are
       whatever its author likes. */
    static CYTHON_INLINE int interop_lasts(PyObject *value) {
        if (PyType_HasFeature(Py_TYPE(value), Py_TPFLAGS_HEAPTYPE)) return 0;
        return !PyType_Check(value) || !PyType_HasFeature((PyTypeObject *) value, Py_TPFLAGS_HEAPTYPE);
    }
    """
    bint lasts "interop_lasts" (PyObject* value) noexcept


cdef inline PyObject* token_of(PyObject* value) noexcept:
    """What stands for a value in a hash: of what is made anew at each call, its type."""
    if value == <PyObject*> None or value == Py_True or value == Py_False or PyUnicode_CheckExact(value):
        return value
    return <PyObject*> Py_TYPE(value)


cdef inline bint same(PyObject** a, PyObject** b) noexcept:
    """Whether two calls say the same: by identity, and for what is made anew at each call by equality."""
    cdef int place, equal
    for place in range(OPTIONS):
        if a[place] == b[place]:
            continue
        if Py_TYPE(a[place]) != Py_TYPE(b[place]) or token_of(a[place]) == a[place]:
            return False
        equal = compare(a[place], b[place], Py_EQ)
        if equal != 1:
            if equal < 0:
                PyErr_Clear()
            return False
    return True
