"""Calls of Python that stay apart: once a compiler of frames has met this library, it is kept from following them.

torch.compile looks at every frame that runs inside of a compiled function, also below a call that ended its graph. It would
compile the planner, line by line, and show it tensors that have no memory.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from interop._native._calls cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyVectorcall_NARGS, vectorcall

import os
import sys

cdef object _runner = None

# The folder of this library.
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


cdef class Apart:
    """A function of Python that the core calls: apart.

    Parameters
    ----------
    function
        The function.
    """

    def __cinit__(self, function, /):
        self.function = function

    def __call__(self, *arguments, **options):
        if _runner is None:
            return self.function(*arguments, **options)
        return _runner(self.function, *arguments, **options)


def run_apart_by(runner, /):
    """Have every call that stays apart made by a function.

    Parameters
    ----------
    runner
        Called with the function and its arguments; None makes the calls as they are.
    """
    global _runner
    _runner = runner


cdef object runner_file():
    """Where the runner is, whose frames lie between this library's; empty where there is none."""
    code = getattr(_runner, "__code__", None)
    return getattr(code, "co_filename", "")


def called_from():
    """The frame that called this library, and how many frames lie between; None where nobody did."""
    between = runner_file()
    depth = 0
    frame = sys._getframe()
    while frame is not None and (frame.f_code.co_filename.startswith(HERE) or frame.f_code.co_filename == between):
        frame = frame.f_back
        depth += 1
    return frame, depth


cdef PyObject* call_apart(PyObject* function, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """Call a function apart; without a runner nothing is in between."""
    if _runner is None:
        return vectorcall(function, arguments, nargsf, names)
    cdef Py_ssize_t count = PyVectorcall_NARGS(nargsf), index
    cdef list positional = [<object> function]
    cdef dict keywords = {}
    for index in range(count):
        positional.append(<object> arguments[index])
    if names != NULL:
        for index in range(PyTuple_GET_SIZE(names)):
            keywords[<object> PyTuple_GET_ITEM(names, index)] = <object> arguments[count + index]
    found = _runner(*positional, **keywords)
    Py_INCREF(found)
    return <PyObject*> found
