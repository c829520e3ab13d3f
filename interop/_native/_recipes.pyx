"""Recipes: plans compiled once for each kind of array, found again by signature, and applied.

:class:`Entry` is what a call has by exact type, target and options (_book finds it); it reads the object's signature and
finds the :class:`Recipe`. A miss is planned in Python, once. What a recipe can't do natively is a recipe too, so that it
isn't planned in vain again.
"""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

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
from interop._native._calls cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from interop._native._ops cimport Job, Op
from interop._native._readers cimport PLAIN, Reader, ViewReader
from interop._native._shortcuts cimport Shortcut
from interop._native._view cimport View

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


# Of types that never die.
reader_table = {View: ViewReader()}

framework_table = {}


def add_readers(str framework not None, dict readers not None, /):
    """Make types of a framework known whose objects are read natively."""
    reader_table.update(readers)
    framework_table.update(dict.fromkeys(readers, framework))


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
