"""One walk over a tree of containers: its leaves are collected, and the tree is built again around what they became.

What is a container, and how one is taken apart and rebuilt, is told by whoever walks; exact dicts, lists and tuples
are known here. One object in, one object out: what a tree holds twice is walked once and built once.
"""

cimport cython
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free

from interop._native._calls cimport Py_DECREF, Py_TYPE, PyTuple_GET_ITEM, PyTuple_GET_SIZE, answers, get_attribute

from interop._words import short_name_of
from interop.errors import with_article

cdef extern from "Python.h":
    PyTypeObject PyDict_Type, PyList_Type, PyTuple_Type
    dict PyDict_Copy(object)
    int PyDict_Next(PyObject*, Py_ssize_t*, PyObject**, PyObject**) noexcept
    int PyDict_SetItem(PyObject*, PyObject*, PyObject*) except -1
    list PyList_GetSlice(object, Py_ssize_t, Py_ssize_t)
    Py_ssize_t PyList_GET_SIZE(PyObject*) noexcept
    PyObject* PyList_GET_ITEM(PyObject*, Py_ssize_t) noexcept
    # Not 0, whatever else, where it has raised.
    int Py_EnterRecursiveCall(const char*) noexcept
    void Py_LeaveRecursiveCall() noexcept
    PyObject* called "PyObject_Vectorcall" (PyObject*, PyObject**, size_t, PyObject*) except NULL

# What an object is to a tree: it comes through as it is, it is converted, or it holds others.
KEEP = 1
LEAF = 2
CONTAINER = 3

cdef enum:
    KEPT = 1
    TENSOR = 2
    OTHER = 3
    DICT = 4
    LIST = 5
    TUPLE = 6

cdef enum:
    # While a container is walked, what it holds; then the number of what it was taken apart into.
    OPEN = -1
    # Types that a walk remembers, by address.
    TYPES = 64
    # Arguments of one call.
    MOST = 16
    # Levels of one walk.
    DEEPEST = 1000

cdef struct Seen:
    # Held by the walk: an address means one object for as long as it lasts.
    PyObject* key
    Py_ssize_t index
    bint built

cdef struct Known:
    # Both are held by the walk.
    PyTypeObject* type
    int kind
    PyObject* container


class CycleError(ValueError):
    """A container holds itself; ``args[0]`` is the container."""


class RebuildError(ValueError):
    """A container couldn't be taken apart or rebuilt; ``args[0]`` is the container."""


@cython.final
cdef class Walk:
    """One walk over one tree.

    Parameters
    ----------
    classify
        Called with an object whose type hasn't been met in this walk; returns KEEP or LEAF and None, or CONTAINER and
        what has ``children(x)``, a fresh list of what `x` holds, and ``rebuild(x, old, fresh)``, another one like `x`
        that holds `fresh` in the place of `old`.

    Attributes
    ----------
    leaves
        The objects to convert, each once, in the order in which they were met.
    """

    cdef readonly list leaves
    cdef object classify
    # What was walked, so that nothing else gets its address; what containers were taken apart into; what was built.
    cdef list held, parts, made
    cdef Seen* table
    cdef Py_ssize_t mask, used
    cdef int depth
    cdef Known[TYPES] known

    def __cinit__(self, classify):
        self.classify = classify
        self.leaves = []
        self.held = []
        self.parts = []
        self.made = []
        self.mask = 63
        self.table = <Seen*> calloc(self.mask + 1, sizeof(Seen))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    def collect(self, tree):
        """Find the leaves of a tree.

        Raises
        ------
        CycleError, RebuildError
            With the container; the cause of the latter is what it raised.
        """
        self.visit(<PyObject*> tree)
        return self.leaves

    def build(self, tree, list results not None):
        """The tree with results in the place of its leaves; whatever holds none that changed stays the same object."""
        if len(results) != len(self.leaves):
            raise ValueError(f"{len(self.leaves)} leaves and {len(results)} results")
        return self.rebuilt(<PyObject*> tree, results)

    cdef Seen* find(self, PyObject* key) noexcept:
        """The entry of an object: its own, or the free one that it would get."""
        cdef Py_ssize_t at = (((<uintptr_t> key) >> 4) * <uintptr_t> 0x9E3779B97F4A7C15 >> 32) & self.mask
        while self.table[at].key != NULL and self.table[at].key != key:
            at = (at + 1) & self.mask
        return &self.table[at]

    cdef int add(self, PyObject* key, Py_ssize_t index) except -1:
        cdef Seen* entry
        if self.used * 3 >= (self.mask + 1) * 2:
            self.grow()
        entry = self.find(key)
        entry.key = key
        entry.index = index
        entry.built = False
        self.used += 1
        return 0

    cdef int grow(self) except -1:
        cdef Seen* old = self.table
        cdef Py_ssize_t count = self.mask + 1
        cdef Py_ssize_t index
        cdef Seen* grown = <Seen*> calloc(4 * count, sizeof(Seen))
        if grown == NULL:
            raise MemoryError
        self.table = grown
        self.mask = 4 * count - 1
        for index in range(count):
            if old[index].key != NULL:
                self.find(old[index].key)[0] = old[index]
        free(old)
        return 0

    cdef Known* kind_of(self, PyObject* x) except NULL:
        cdef PyTypeObject* tp = Py_TYPE(x)
        cdef Known* known = &self.known[((<uintptr_t> tp) >> 4) % TYPES]
        if known.type == tp:
            return known
        if tp == &PyDict_Type or tp == &PyList_Type or tp == &PyTuple_Type:
            kind, container = DICT if tp == &PyDict_Type else LIST if tp == &PyList_Type else TUPLE, None
        else:
            kind, container = self.classify(<object> x)
        # The classifier runs Python, which may walk, but not this walk: the slot is still this type's to take.
        self.held.append((<object> <PyObject*> tp, container))
        known.kind = kind
        known.container = <PyObject*> container
        known.type = tp
        return known

    cdef int visit(self, PyObject* x) except -1:
        cdef Known* known = self.kind_of(x)
        cdef int kind = known.kind
        cdef PyObject* container = known.container
        cdef Seen* entry
        if kind == KEPT:
            return 0
        entry = self.find(x)
        if entry.key != NULL:
            if kind != TENSOR and entry.index == OPEN:
                raise CycleError(<object> x)
            return 0
        if kind == TENSOR:
            self.add(x, len(self.leaves))
            self.leaves.append(<object> x)
            return 0
        self.held.append(<object> x)
        self.add(x, OPEN)
        self.enter()
        try:
            part = self.apart(x, kind, container)
            self.visit_all(<PyObject*> part, kind)
        finally:
            self.leave()
        entry = self.find(x)
        entry.index = len(self.parts)
        self.parts.append(part)
        return 0

    cdef inline int enter(self) except -1:
        """Go a level down: the interpreter's limit is the caller's to raise, and the stack of C isn't."""
        if self.depth >= DEEPEST:
            raise RecursionError(f"more than {DEEPEST} levels")
        if Py_EnterRecursiveCall(" while a tree is walked") != 0:
            return -1
        self.depth += 1
        return 0

    cdef inline void leave(self) noexcept:
        self.depth -= 1
        Py_LeaveRecursiveCall()

    cdef object apart(self, PyObject* x, int kind, PyObject* container):
        """What a container holds, as nobody else can change it while foreign code runs: a copy, or a tuple itself."""
        if kind == DICT:
            return PyDict_Copy(<object> x)
        if kind == LIST:
            return PyList_GetSlice(<object> x, 0, PyList_GET_SIZE(x))
        if kind == TUPLE:
            return <object> x
        try:
            children = (<object> container).children(<object> x)
        except Exception as err:
            raise RebuildError(<object> x) from err
        if type(children) is not list:
            raise RebuildError(<object> x) from TypeError(f"its children are {with_article(short_name_of(type(children)))}, and no list")
        return children

    cdef int visit_all(self, PyObject* part, int kind) except -1:
        cdef Py_ssize_t at = 0
        cdef PyObject* key
        cdef PyObject* value
        if kind == DICT:
            while PyDict_Next(part, &at, &key, &value):
                self.visit(value)
        elif kind == TUPLE:
            for at in range(PyTuple_GET_SIZE(part)):
                self.visit(PyTuple_GET_ITEM(part, at))
        else:
            for at in range(PyList_GET_SIZE(part)):
                self.visit(PyList_GET_ITEM(part, at))
        return 0

    cdef object rebuilt(self, PyObject* x, list results):
        cdef Known* known = self.kind_of(x)
        cdef int kind = known.kind
        cdef PyObject* container = known.container
        cdef Seen* entry
        if kind == KEPT:
            return <object> x
        entry = self.find(x)
        if entry.key == NULL:
            raise RebuildError(<object> x) from ValueError("it wasn't there when the tree was walked")
        if kind == TENSOR:
            return results[entry.index]
        if entry.built:
            return self.made[entry.index]
        part = self.parts[entry.index]
        self.enter()
        try:
            if kind == DICT:
                made = self.dict_of(<object> x, part, results)
            elif kind == TUPLE:
                made = self.tuple_of(part, results)
            elif kind == LIST:
                made = self.list_of(part, results)
                made = <object> x if made is None else made
            else:
                made = self.other_of(<object> x, <object> container, part, results)
        finally:
            self.leave()
        entry = self.find(x)
        entry.built = True
        entry.index = len(self.made)
        self.made.append(made)
        return made

    cdef object dict_of(self, object x, dict part, list results):
        cdef Py_ssize_t at = 0
        cdef PyObject* key
        cdef PyObject* value
        cdef bint changed = False
        while PyDict_Next(<PyObject*> part, &at, &key, &value):
            fresh = self.rebuilt(value, results)
            if <PyObject*> fresh != value:
                changed = True
                held = <object> key
                try:
                    # Of a key that is there: the order stays. It is hashed again, and whatever that runs can't reach this copy.
                    PyDict_SetItem(<PyObject*> part, key, <PyObject*> fresh)
                except Exception as err:
                    raise RebuildError(x) from err
        return part if changed else x

    cdef object list_of(self, list part, list results):
        """The list with what became of its elements, or None where nothing changed."""
        cdef Py_ssize_t at
        cdef bint changed = False
        for at in range(PyList_GET_SIZE(<PyObject*> part)):
            old = part[at]
            fresh = self.rebuilt(<PyObject*> old, results)
            if fresh is not old:
                changed = True
                part[at] = fresh
        return part if changed else None

    cdef object tuple_of(self, tuple part, list results):
        fresh = self.list_of(list(part), results)
        return part if fresh is None else tuple(fresh)

    cdef object other_of(self, object x, object container, list part, list results):
        fresh = self.list_of(list(part), results)
        if fresh is None:
            return x
        try:
            return container.rebuild(x, part, fresh)
        except Exception as err:
            raise RebuildError(x) from err


def all_answer(list objects not None, ask):
    """Whether all objects answer as wanted what is asked of their exact types.

    Parameters
    ----------
    ask
        Called with a type; returns a tuple that lives on, of pairs of a descriptor and the answer wanted, which is
        compared by identity.
    """
    cdef PyTypeObject* last = NULL
    cdef tuple pairs = ()
    cdef PyObject* pair
    cdef Py_ssize_t index
    for x in objects:
        if Py_TYPE(<PyObject*> x) != last:
            last = Py_TYPE(<PyObject*> x)
            pairs = ask(type(x))
        for index in range(PyTuple_GET_SIZE(<PyObject*> pairs)):
            pair = PyTuple_GET_ITEM(<PyObject*> pairs, index)
            if not answers(get_attribute(PyTuple_GET_ITEM(pair, 0), <PyObject*> x), PyTuple_GET_ITEM(pair, 1)):
                return False
    return True


def convert_all(function, list objects not None, tuple positional not None, dict keywords not None):
    """Call a function with each of some objects, the same arguments behind it; stop at the first that it refuses.

    Returns
    -------
    list
        The results, as many as there were before an exception.
    """
    cdef tuple names = tuple(keywords)
    cdef tuple values = (*positional, *keywords.values())
    cdef Py_ssize_t count = len(values)
    cdef PyObject* named = <PyObject*> names if keywords else NULL
    cdef size_t given = 1 + len(positional)
    cdef PyObject* arguments[MOST]
    cdef PyObject* made
    cdef Py_ssize_t index
    cdef list results = []
    if count >= MOST:
        raise ValueError(f"{count} arguments are too many")
    for index in range(count):
        arguments[1 + index] = PyTuple_GET_ITEM(<PyObject*> values, index)
    # Around the loop: to enter it costs as much as a check of a route.
    try:
        for x in objects:
            arguments[0] = <PyObject*> x
            made = called(<PyObject*> function, arguments, given, named)
            results.append(<object> made)
            Py_DECREF(made)
    except Exception:
        pass
    return results
