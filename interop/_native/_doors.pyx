"""The public functions as CPython calls them: by a recipe where there is one, else by the function of Python."""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

import functools
import inspect
import types

from interop._native._apart cimport call_apart
from interop._native._calls cimport (
    Py_TYPE,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyUnicode_CheckExact,
    PyVectorcall_NARGS,
    use_vectorcall,
)
from interop._native._guarding cimport guarded
from interop._native._book cimport Book, Slot
from interop._native._recipes cimport Entry
from interop._native._writes cimport Writes

cdef PyObject* Py_None = <PyObject*> None


cdef class Door:
    """A function of Python that is called only where no recipe takes the object.

    It is a function to whoever looks at it: its name, documentation and signature are the function's own, it is
    pickled by name, and it binds in a class.
    """

    cdef void* vectorcall
    cdef object function
    # Where the recipes of its calls are.
    cdef Book book
    # Of its target; None where the second argument names the target.
    cdef str target
    cdef Slot bare
    cdef Writes writes
    # Whether it refuses keywords itself, and the names of its parameters, which are looked up when they are needed.
    cdef bint refuses
    cdef tuple parameters
    cdef dict __dict__
    cdef object __weakref__

    @cython.final
    cdef Entry bare_entry(self, PyObject* x):
        """The entry of a call without options."""
        cdef Slot slot
        with cython.critical_section(self):
            slot = self.bare
        if slot is None or not slot.holds(Py_TYPE(x)):
            slot = self.book.slot_of(x, self.target, NULL, NULL, NULL)
            if slot is None:
                return None
            with cython.critical_section(self):
                self.bare = slot
        return slot.entry

    def __call__(self, *arguments, **options):
        return self.function(*arguments, **options)

    def __getattr__(self, name):
        return getattr(self.function, name)

    def __get__(self, instance, owner):
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self):
        return self.__qualname__

    def __repr__(self):
        return repr(self.function)


cdef PyObject* enter(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of a door is: its function's arguments go through untouched, and its errors without a frame of ours."""
    cdef PyObject* found
    # Where somebody guards, the planner's way asks him.
    if PyVectorcall_NARGS(nargsf) == 1 and not guarded():
        if names == NULL:
            entry = (<Door> self).bare_entry(arguments[0])
        else:
            entry = (<Door> self).book.entry_of(arguments[0], (<Door> self).target, arguments + 1, names)
        if entry is not None:
            found = entry.apply(arguments[0])
            if found != NULL:
                return found
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* enter_convert(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of convert is: its second argument names the target."""
    cdef PyObject* found
    if PyVectorcall_NARGS(nargsf) == 2 and not guarded():
        entry = (<Door> self).book.entry_of(arguments[0], <object> arguments[1], arguments + 2, names)
        if entry is not None:
            found = entry.apply(arguments[0])
            if found != NULL:
                return found
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* enter_like(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of convert_like is: its second argument says the target and the device."""
    cdef PyObject* found
    if PyVectorcall_NARGS(nargsf) == 2 and not guarded():
        entry = (<Door> self).book.entry_like(arguments[0], arguments[1], arguments + 2, names)
        if entry is not None:
            found = entry.apply(arguments[0])
            if found != NULL:
                return found
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* enter_copyto(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of copyto is."""
    cdef PyObject* casting = NULL
    if PyVectorcall_NARGS(nargsf) == 2 and not guarded():
        if names == NULL:
            casting = <PyObject*> (<Door> self).target
        elif PyTuple_GET_SIZE(names) == 1 and <str> PyTuple_GET_ITEM(names, 0) == "casting":
            casting = arguments[2]
        # Another object isn't to be kept alive, and is no rule.
        if casting != NULL and PyUnicode_CheckExact(casting) and (<Door> self).writes.write(arguments[0], arguments[1], <object> casting):
            Py_INCREF(None)
            return Py_None
    return by_function(<Door> self, arguments, nargsf, names)


cdef object new_door(void* enters, function, Book book, str target, Writes writes=None):
    cdef Door made = Door.__new__(Door)
    made.vectorcall = enters
    made.function = function
    made.book = book
    made.target = target
    made.writes = writes
    return functools.update_wrapper(made, function)


cdef Door _some_door = Door.__new__(Door)
use_vectorcall(Door, <char*> &_some_door.vectorcall - <char*> <PyObject*> _some_door)


def door(Book book not None, str target not None, /):
    """Find the recipes of a function whose target is fixed.

    Parameters
    ----------
    book
        Where they are.
    target
        The target's name; "view" is one.

    Returns
    -------
    Callable
        A decorator of a function of one object, by position, and the options of a conversion, by keyword.
    """
    return lambda function: new_door(<void*> enter, function, book, target)


def convert_door(Book book not None, /):
    """The same for a function that takes the target as its second argument.

    Parameters
    ----------
    book
        Where the recipes are; the options are those of a conversion, by keyword.

    Returns
    -------
    Callable
        A decorator.
    """
    return lambda function: new_door(<void*> enter_convert, function, book, None)


def like_door(Book book not None, /):
    """The same for a function that takes an object as its second argument, whose framework is the target.

    Parameters
    ----------
    book
        Where the recipes are; the options are those of a conversion, by keyword.

    Returns
    -------
    Callable
        A decorator.
    """
    return lambda function: new_door(<void*> enter_like, function, book, None)


def copyto_door(Writes writes not None, str casting not None, /):
    """Have a function of two objects and a casting rule write by what is known of their kinds.

    Parameters
    ----------
    writes
        Knows who writes.
    casting
        The rule where none is said.

    Returns
    -------
    Callable
        A decorator.
    """
    return lambda function: new_door(<void*> enter_copyto, function, None, casting, writes)


def called_natively(type kind not None, /):
    """Have CPython call the doors of a subclass as it calls other doors, whatever `__call__` the subclass defines.

    CPython goes by the slot and the flag of the type, which a `__call__` of Python takes away when the class is made;
    whoever reads the class, as torch.compile does, sees that `__call__`.

    Parameters
    ----------
    kind
        A subclass of Door; it can be used as a decorator.

    Returns
    -------
    type
        The same.
    """
    if not issubclass(kind, Door):
        raise TypeError(f"{kind.__name__} is no subclass of Door")
    use_vectorcall(kind, <char*> &_some_door.vectorcall - <char*> <PyObject*> _some_door)
    return kind


def of_kind(function, type kind not None, /):
    """Make a door of a subclass: of another door, or of a function of Python, which is then called as it is.

    Parameters
    ----------
    function
        The door or the function.
    kind
        The subclass, which :func:`called_natively` has seen.

    Returns
    -------
    Door
    """
    if not issubclass(kind, Door):
        raise TypeError(f"{kind.__name__} is no subclass of Door")
    cdef Door made = Door.__new__(kind)
    if not isinstance(function, Door):
        function = new_door(<void*> enter_function, function, None, None)
    cdef Door door = function
    made.vectorcall = door.vectorcall
    made.function = door.function
    made.book = door.book
    made.target = door.target
    made.writes = door.writes
    vars(made).update(vars(door))
    made.refuses = True
    return made


cdef PyObject* enter_function(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call is of a function that has no way of its own in the core."""
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* by_function(Door door, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """Call the function of Python; a keyword that it doesn't have is refused in the public function's name."""
    if names != NULL and door.refuses:
        if door.parameters is None:
            door.parameters = tuple(inspect.signature(door).parameters)
        for name in <tuple> <object> names:
            if name not in door.parameters:
                raise TypeError(unexpected(door, name))
    return call_apart(<PyObject*> door.function, arguments, nargsf, names)


cdef str unexpected(Door door, name):
    """The message about a keyword that a function doesn't have, with the nearest of those that it has."""
    # For a message that is rarely needed.
    from difflib import get_close_matches

    parameters = inspect.signature(door).parameters.values()
    keywords = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    close = get_close_matches(name, keywords, n=1)
    if name == "force" and "detach" in keywords:
        return f"{door.__name__}() got an unexpected keyword argument {name!r}. It is detach=True and device='cpu' here."
    hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(keywords) or 'none'}."
    return f"{door.__name__}() got an unexpected keyword argument {name!r}. {hint}"
