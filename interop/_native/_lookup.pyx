"""Attributes of types, as Python looks up its own special methods.

What an instance or a metaclass has under a name is none of a protocol, and looking there may run anything.
"""

_mro_of = type.__dict__["__mro__"].__get__
_dict_of = type.__dict__["__dict__"].__get__


cpdef object find(tp, str name):
    """What a type has under a name, unbound; None where it has nothing, or None to say so."""
    for base in _mro_of(tp):
        names = _dict_of(base)
        if name in names:
            return names[name]
    return None


cdef object bound(attribute, x, tp):
    """Bind what :func:`find` found to an object, or (None) to the type alone."""
    get = getattr(type(attribute), "__get__", None)
    return attribute if get is None else get(attribute, x, tp)
