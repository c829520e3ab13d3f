"""Recipes: plans compiled once for each kind of array, found again by signature, and applied.

:class:`Book` finds an :class:`Entry` by exact type, target and options; the entry reads the object's signature and finds
the :class:`Recipe`. A miss is planned in Python, once. What a recipe can't do natively is a recipe too, so that it isn't
planned in vain again.
"""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.module cimport PyModule_Check
from cpython.object cimport Py_EQ, PyObject, PyTypeObject
from libc.stdint cimport uint64_t, uintptr_t

from interop._native._arrays cimport (
    ALIGNED_64,
    BROADCAST,
    FLAG_BITS,
    LAYOUT_BITS,
    OVERLAPS,
    Array,
    Signature,
    release,
    signature_of_facts,
)
from interop._native._calls cimport (
    Memo,
    Py_DECREF,
    Py_False,
    Py_INCREF,
    Py_True,
    Py_TYPE,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyUnicode_CheckExact,
    dict_get,
    route_of,
)
from interop._native._ops cimport Job, Op
from interop._native._readers cimport PLAIN, Reader, ViewReader
from interop._native._shortcuts cimport Shortcut
from interop._native._view cimport View

cdef extern from "Python.h":
    # With plain pointers, and -1 with an exception set: nothing is raised where it is called.
    int compare "PyObject_RichCompareBool" (PyObject* a, PyObject* b, int how) noexcept

cdef enum:
    # One call in so many looks first, where the framework's own answer is expected to be faster.
    LOOK_EACH = 256
    # How many calls expect memory that is locked already, once one has met such.
    LOCKED = 64
    MISSES = 3

# For targets that ask for no more than the alignment of an element; more is chance.
cdef uint64_t NOT_ALIGNED_64 = ~(<uint64_t> ALIGNED_64 << FLAG_BITS)

# Moved on by whatever makes recipes stale: an adapter that is registered, or one that is loaded.
cdef uint64_t _epoch = 1


# By exact type; types that never die.
reader_table = {View: ViewReader()}

# By exact type, what convert_like calls its framework.
cdef dict _frameworks = {}


def add_readers(str framework not None, dict readers not None, /):
    """Make types of a framework known whose objects are read natively."""
    reader_table.update(readers)
    _frameworks.update(dict.fromkeys(readers, framework))


cdef uint64_t current_epoch() noexcept:
    return _epoch


def forget_recipes():
    """Have every conversion planned anew."""
    global _epoch
    _epoch += 1


@cython.final
cdef class Recipe:
    """A compiled plan.

    Attributes
    ----------
    plan
        The plan that it was compiled from, or None where there is none.
    ops
        What it does, a tuple of :class:`Op`; empty where it has to be done in Python.
    aliases
        Whether the result is on the source's memory.
    """

    def __cinit__(self, plan, tuple ops not None=(), *, bint aliases=False):
        for op in ops:
            if not isinstance(op, Op):
                raise TypeError(f"no op: {op!r}")
        self.plan = plan
        self.ops = ops
        self.aliases = aliases


cdef Recipe _NOTHING = Recipe(None)


@cython.final
cdef class Pages:
    """The recipes of one entry by signature; never changed once they can be found."""

    cdef PyObject* find(self, const Signature* signature) noexcept:
        cdef int index
        for index in range(self.count):
            if self.pages[index].signature.kind == signature.kind and self.pages[index].signature.state == signature.state:
                return self.pages[index].recipe
        return NULL

    cdef Pages with_recipe(self, const Signature* signature, Recipe recipe):
        """The same and one more; where they are full, that one alone."""
        cdef Pages pages = Pages.__new__(Pages)
        cdef int index
        pages.recipes = []
        pages.count = 0
        if self.count < MOST_PAGES:
            pages.recipes.extend(self.recipes)
            for index in range(self.count):
                pages.pages[index] = self.pages[index]
            pages.count = self.count
        pages.recipes.append(recipe)
        pages.pages[pages.count].signature = signature[0]
        pages.pages[pages.count].recipe = <PyObject*> recipe
        pages.count += 1
        return pages


@cython.final
@cython.no_gc_clear
cdef class Entry:
    """The recipes of one exact type, target and set of options.

    Parameters
    ----------
    reader
        Finds an object's signature.
    plan
        Called with an object; returns its facts and its recipe.
    keeps
        Whether the object itself is the answer, unseen.
    shortcuts
        What is tried before the object is looked at.
    aligned_64
        Whether it makes a difference to the target if memory begins at a multiple of 64.
    """

    def __cinit__(self, Reader reader not None, plan, /, *, bint keeps=False, tuple shortcuts=(), bint aligned_64=False):
        self.reader = reader
        self.plan = plan
        self.keeps = keeps
        self.mask = ~<uint64_t> 0 if aligned_64 else NOT_ALIGNED_64
        self.pages = Pages.__new__(Pages)
        self.pages.recipes = []
        for shortcut in shortcuts:
            if not isinstance(shortcut, Shortcut):
                raise TypeError(f"no shortcut: {shortcut!r}")
            self.predicted = self.predicted or (<Shortcut> shortcut).predicted
        self.shortcuts = shortcuts

    cdef PyObject* apply(self, PyObject* x) except? NULL:
        cdef Array array
        cdef PyObject* recipe
        cdef PyObject* result
        if self.keeps:
            Py_INCREF(x)
            return x
        if PyTuple_GET_SIZE(<PyObject*> self.shortcuts) != 0:
            result = self.at_once(x)
            if result != NULL:
                return result
        array.owner = NULL
        if not self.read(x, &array):
            return NULL
        with cython.critical_section(self):
            pages = self.pages
        recipe = pages.find(&array.signature)
        if recipe == NULL:
            release(&array)
            self.learn(<object> x)
            # Planning has run Python, so that it is read once more.
            if not self.read(x, &array):
                return NULL
            with cython.critical_section(self):
                pages = self.pages
            recipe = pages.find(&array.signature)
            if recipe == NULL:
                self.miss(&array.signature)
        try:
            result = NULL if recipe == NULL else self.run(x, &array, <Recipe> recipe)
        finally:
            release(&array)
        return result

    def known(self, x, /):
        """The recipe for an object, which is made if there is none yet; None where it can't be had by a look alone."""
        cdef Array array
        cdef PyObject* recipe
        if self.reader.exports or self.plan is None:
            return None
        array.owner = NULL
        if not self.read(<PyObject*> x, &array):
            return None
        recipe = self.pages.find(&array.signature)
        release(&array)
        if recipe == NULL:
            self.learn(x)
            if not self.read(<PyObject*> x, &array):
                return None
            recipe = self.pages.find(&array.signature)
            release(&array)
        # Of these a plan says more than their class tells.
        if recipe == NULL or array.signature.state >> LAYOUT_BITS & (BROADCAST | OVERLAPS):
            return None
        return <object> recipe

    def takes(self, x, /):
        """Whether there is a recipe for an object, which it is planned for if there is none yet."""
        cdef PyObject* result = self.apply(<PyObject*> x)
        if result != NULL:
            Py_DECREF(result)
        return result != NULL

    cdef PyObject* at_once(self, PyObject* x) except? NULL:
        """What a shortcut answers, or NULL; the counts are guesses, which threads may spoil for each other."""
        cdef Py_ssize_t index
        cdef Shortcut shortcut
        if self.predicted:
            if self.locked > 0:
                self.locked -= 1
                return NULL
            self.calls += 1
            if self.calls % LOOK_EACH == 0:
                return NULL
        for index in range(PyTuple_GET_SIZE(<PyObject*> self.shortcuts)):
            shortcut = <Shortcut> PyTuple_GET_ITEM(<PyObject*> self.shortcuts, index)
            result = shortcut.attempt(<object> x)
            if result is not NotImplemented:
                Py_INCREF(<PyObject*> result)
                return <PyObject*> result
        return NULL

    cdef bint read(self, PyObject* x, Array* array) except -1:
        array.stays = array.stayed = False
        if self.reader.read(x, array) != PLAIN:
            release(array)
            return False
        array.signature.state &= self.mask
        return True

    cdef PyObject* run(self, PyObject* x, Array* array, Recipe recipe) except? NULL:
        cdef Job job
        cdef int done = 1
        cdef PyObject* ops = <PyObject*> recipe.ops
        cdef Py_ssize_t index, count = PyTuple_GET_SIZE(ops)
        if count == 0:
            return NULL
        if recipe.aliases and not array.stays:
            if not self.reader.lock(x, array):
                return NULL
            # What is locked already is read sooner than its framework answers; what isn't, later.
            self.locked = LOCKED if array.stayed else 0
        job.x = x
        job.value = NULL
        job.array = array
        job.known = True
        try:
            for index in range(count):
                done = 0
                done = (<Op> PyTuple_GET_ITEM(ops, index)).run(&job)
                if done == 0:
                    break
        finally:
            if done == 0:
                Py_XDECREF(job.value)
                job.value = NULL
        return job.value

    cdef int learn(self, object x) except -1:
        """Plan for an object, and keep the recipe under the signature of what was planned for."""
        cdef Signature signature
        facts, recipe = self.plan(x)
        if facts is None or signature_of_facts(facts, &signature) == 0:
            return 0
        signature.state &= self.mask
        with cython.critical_section(self):
            self.pages = self.pages.with_recipe(&signature, <Recipe?> recipe)
        return 0

    cdef int miss(self, const Signature* signature) except -1:
        """Remember what planning makes no recipe of, so that it isn't planned in vain at each call.

        Not the first time: a moment ago the object may have been another one.
        """
        self.misses += 1
        if self.misses >= MISSES:
            with cython.critical_section(self):
                self.pages = self.pages.with_recipe(signature, _NOTHING)
        return 0


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
        return self.type == type and self.epoch == _epoch


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
        framework = dict_get(<PyObject*> _frameworks, <PyObject*> Py_TYPE(reference))
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
        slot.epoch = _epoch
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
        key = (type(x), target, tuple(parsed), _epoch)
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
