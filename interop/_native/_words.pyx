"""Words about objects of others, for messages: whatever their own methods do, these don't raise."""

import reprlib


cdef str name_of(tp):
    """The name of a type, with its module."""
    try:
        module = tp.__module__
        return f"{tp.__qualname__}" if module == "builtins" else f"{module}.{tp.__qualname__}"
    except Exception:
        return "object of a nameless type"


cdef str said(BaseException error):
    """An exception's type and text."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


cdef str shown(x):
    """An object's repr, short, or its type's name."""
    try:
        return reprlib.repr(x)
    except Exception:
        return name_of(type(x))
