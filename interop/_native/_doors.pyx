"""The public functions as CPython calls them: by hot route or recipe where there is one, else by the function of Python."""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

import functools
import inspect
import types

from interop._native._apart cimport call_apart
from interop._native._calls cimport (
    Memo,
    Py_DECREF,
    Py_False,
    Py_True,
    Py_TYPE,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyUnicode_CheckExact,
    PyVectorcall_NARGS,
    dict_get,
    route_of,
    use_vectorcall,
)
from interop._native._recipes cimport Book, Entry, Slot
from interop._native._routes cimport Route, route_tables
from interop._native._writes cimport Writes

from interop._native._routes import hot_routes

cdef PyObject* Py_None = <PyObject*> None

# By keyword, the values that change nothing for a route: it copies nothing, and is asked for nothing else. Only where
# it is what makes the copy may one be asked for.
cdef dict _OPTIONS = {
    "device": (None,),
    "dtype": (None,),
    "order": (None,),
    "copy": (None, False, True),
    "writable": (None,),
    "detach": (False,),
    "stream": (None,),
}


cdef class Door:
    """A function of Python that is called only where a hot route doesn't take the object.

    It is a function to whoever looks at it: its name, documentation and signature are the function's own, it is
    pickled by name, and it binds in a class.
    """

    cdef void* vectorcall
    cdef object function
    # Of its target; None where the second argument names the target.
    cdef dict table
    # Likewise for device="cpu", of routes that move; None where there are none.
    cdef dict moves
    cdef Memo memo, moves_memo
    cdef dict options
    # Where the recipes of its calls are, of its target.
    cdef Book book
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
    cdef Py_ssize_t count = PyVectorcall_NARGS(nargsf)
    cdef bint named = (<Door> self).table is None
    cdef PyObject* found
    if count == (2 if named else 1):
        # A recipe knows its options; without any, a hot route is asked first.
        if names == NULL:
            found = by_route(<Door> self, arguments, count, names)
            if found == NULL:
                found = by_recipe(<Door> self, arguments, count, names)
        else:
            found = by_recipe(<Door> self, arguments, count, names)
            if found == NULL:
                found = by_route(<Door> self, arguments, count, names)
        if found != NULL:
            return found
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* by_recipe(Door door, PyObject** arguments, Py_ssize_t count, PyObject* names) except? NULL:
    if door.book is None:
        return NULL
    if names == NULL and door.table is not None:
        entry = door.bare_entry(arguments[0])
    else:
        to = <object> arguments[1] if door.table is None else door.target
        entry = door.book.entry_of(arguments[0], to, arguments + count, names)
    return NULL if entry is None else entry.apply(arguments[0])


cdef PyObject* by_route(Door door, PyObject** arguments, Py_ssize_t count, PyObject* names) except? NULL:
    cdef PyObject* table = <PyObject*> door.table
    cdef PyObject* found
    cdef PyObject* copy = Py_None
    if names != NULL and door.moves is not None and says_cpu(arguments + count, names):
        found = route_of(<PyObject*> door.moves, Py_TYPE(arguments[0]), &door.moves_memo)
    elif names == NULL or changes_nothing(<PyObject*> door.options, arguments + count, names):
        if door.table is None:
            table = dict_get(<PyObject*> route_tables, arguments[1]) if PyUnicode_CheckExact(arguments[1]) else NULL
            # Tables are never dropped.
            Py_XDECREF(table)
        found = NULL if table == NULL else route_of(table, Py_TYPE(arguments[0]), &door.memo)
        if names != NULL:
            copy = copy_asked(arguments + count, names)
    else:
        return NULL
    if found == NULL:
        return NULL
    route = <object> found
    Py_DECREF(found)
    result = taken(route, arguments[0], copy)
    if result is NotImplemented:
        return NULL
    Py_INCREF(result)
    return <PyObject*> result


cdef PyObject* enter_like(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of convert_like is: its second argument says the target and the device."""
    cdef PyObject* found
    if PyVectorcall_NARGS(nargsf) == 2:
        entry = (<Door> self).book.entry_like(arguments[0], arguments[1], arguments + 2, names)
        if entry is not None:
            found = entry.apply(arguments[0])
            if found != NULL:
                return found
    return by_function(<Door> self, arguments, nargsf, names)


cdef PyObject* enter_copyto(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of copyto is."""
    cdef PyObject* casting = NULL
    if PyVectorcall_NARGS(nargsf) == 2:
        if names == NULL:
            casting = <PyObject*> (<Door> self).target
        elif PyTuple_GET_SIZE(names) == 1 and <str> PyTuple_GET_ITEM(names, 0) == "casting":
            casting = arguments[2]
        if casting != NULL and (<Door> self).writes.write(arguments[0], arguments[1], <object> casting):
            Py_INCREF(None)
            return Py_None
    return by_function(<Door> self, arguments, nargsf, names)


cdef inline object taken(object route, PyObject* x, PyObject* copy):
    if not isinstance(route, Route):
        return NotImplemented
    if copy == Py_True or (<Route> route).views_only and copy != Py_False:
        return (<Route> route).run_copy(<object> x)
    return (<Route> route).run(<object> x)


cdef bint says_cpu(PyObject** values, PyObject* names) noexcept:
    """Whether device="cpu" is all that the call says."""
    return (
        PyTuple_GET_SIZE(names) == 1
        and PyUnicode_CheckExact(values[0])
        and <str> PyTuple_GET_ITEM(names, 0) == "device"
        and <str> values[0] == "cpu"
    )


cdef PyObject* copy_asked(PyObject** values, PyObject* names) noexcept:
    """What the call says of copy: None, True or False."""
    cdef Py_ssize_t index
    for index in range(PyTuple_GET_SIZE(names)):
        if (values[index] == Py_False or values[index] == Py_True) and <str> PyTuple_GET_ITEM(names, index) == "copy":
            return values[index]
    return Py_None


cdef bint changes_nothing(PyObject* options, PyObject** values, PyObject* names) noexcept:
    """Whether each keyword is given a value that means the same as leaving it out."""
    cdef PyObject* harmless
    cdef Py_ssize_t index, choice
    cdef bint same
    for index in range(PyTuple_GET_SIZE(names)):
        harmless = dict_get(options, PyTuple_GET_ITEM(names, index))
        same = False
        if harmless != NULL:
            for choice in range(PyTuple_GET_SIZE(harmless)):
                same = same or PyTuple_GET_ITEM(harmless, choice) == values[index]
            Py_DECREF(harmless)
        if not same:
            return False
    return True


cdef object new_door(function, dict table, dict moves, dict options, Book book=None, str target=None):
    cdef Door made = Door.__new__(Door)
    made.vectorcall = <void*> enter
    made.function = function
    made.table = table
    made.moves = moves
    made.options = options
    made.book = book
    made.target = target
    return functools.update_wrapper(made, function)


cdef Door _some_door = Door.__new__(Door)
use_vectorcall(Door, <char*> &_some_door.vectorcall - <char*> <PyObject*> _some_door)


def door(str target not None, Book book=None, /):
    """Put a hot route in front of a function, and behind that the recipes of a book.

    Parameters
    ----------
    target
        The target framework's name, whose table of routes is asked.
    book
        Where the recipes are.

    Returns
    -------
    Callable
        A decorator of a function of one object, by position, and the options of a conversion, by keyword.
    """
    return lambda function: new_door(function, hot_routes(target), hot_routes(f"{target}@cpu"), _OPTIONS, book, target)


def convert_door(Book book=None, /):
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
    return lambda function: new_door(function, None, None, _OPTIONS, book)


def view_door(function, /):
    """Put a hot route to a View in front of a function.

    Parameters
    ----------
    function
        Its only option is a stream, by keyword.

    Returns
    -------
    Callable
    """
    return new_door(function, hot_routes("view"), None, {"stream": (None,)})


def like_door(Book book not None, /):
    """Find the recipes of a function that takes an object as its second argument, whose framework is the target.

    Parameters
    ----------
    book
        Where they are; the options are those of a conversion, by keyword.

    Returns
    -------
    Callable
        A decorator.
    """
    return lambda function: entered_by(<void*> enter_like, new_door(function, None, None, {}, book))


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
    def decorate(function):
        cdef Door made = entered_by(<void*> enter_copyto, new_door(function, None, None, {}, None, casting))
        made.writes = writes
        return made

    return decorate


cdef object entered_by(void* enters, object door):
    (<Door> door).vectorcall = enters
    return door


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
        function = entered_by(<void*> enter_function, new_door(function, None, None, {}))
    cdef Door door = function
    made.vectorcall = door.vectorcall
    made.function = door.function
    made.table = door.table
    made.moves = door.moves
    made.options = door.options
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
    hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(keywords) or 'none'}."
    return f"{door.__name__}() got an unexpected keyword argument {name!r}. {hint}"
