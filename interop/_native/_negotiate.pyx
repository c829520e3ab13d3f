"""Calls of ``__dlpack__``: which keywords a producer takes, and what it says of its device."""

import functools
import inspect
import re
import weakref

from interop._native._export cimport host_accessible
from interop._native._import cimport Managed
from interop._native._lookup cimport bound, find
from interop._native._view cimport View
from interop._native.dlpack cimport DLPACK_MAJOR, DLPACK_MINOR

from interop._devices import HOST_ACCESSIBLE, device_of_pair
from interop._native._import import view_from_capsule
from interop._words import name_of, said, text_of
from interop.errors import CopyError, DeviceError, DTypeError, UnsupportedError

_NEWEST = (DLPACK_MAJOR, DLPACK_MINOR)
_KEYWORDS = frozenset({"stream", "max_version", "dl_device", "copy"})

# What producers took over the years: a callable whose signature doesn't tell is tried with fewer and fewer.
_GENERATIONS = (_KEYWORDS, frozenset({"stream", "max_version"}), frozenset({"stream"}), frozenset())

# What CPython and the makers of bindings say where a call has keywords that the callee doesn't take.
_BLAME = re.compile(
    r"takes no (keyword )?arguments|takes at most \d+|incompatible function arguments|(?P<named>unexpected|invalid) keyword"
)

# Type -> what it has as __dlpack__, the keywords that this takes, whether they are a guess.
_accepted = weakref.WeakKeyDictionary()

cdef enum:
    # More decorators than that on one method are a cycle.
    MOST_LAYERS = 32


cdef object signed_keywords(method):
    """The keywords that a callable takes by its signature; None where that doesn't tell.

    A decorator's own signature counts beside that of what it wraps: both have to take a keyword.
    """
    cdef int layer
    cdef bint open_ended = True
    keywords = _KEYWORDS
    for layer in range(MOST_LAYERS):
        try:
            parameters = inspect.signature(method, follow_wrapped=False).parameters.values()
            method = getattr(method, "__wrapped__", None)
        except Exception:
            return None
        open_ended = any([parameter.kind is parameter.VAR_KEYWORD for parameter in parameters])
        if not open_ended:
            keywords &= {parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY}
        if method is None:
            break
    return None if open_ended else keywords


cdef bint blames_keywords(error, asked):
    """Whether a TypeError is about the keywords of the call, and not from inside the callee."""
    if type(error) is not TypeError:
        return False
    text = said(error)
    match = _BLAME.search(text)
    return match is not None and (match["named"] is None or any([f"'{keyword}'" in text for keyword in asked]))


cdef tuple call_dlpack(x, dict wanted):
    """Call ``x.__dlpack__`` with those of the wanted keywords that its type takes.

    Which those are is a matter of the signature, not of trying: a TypeError raised inside a producer is a bug to be
    reported, not an old version of the protocol. Where no signature tells, all are tried, and only an error in so
    many words about the keywords lets fewer be tried.

    Returns
    -------
    tuple
        The method's answer, and the keywords that it was given.
    """
    cdef bint guessed
    tp = type(x)
    attribute = find(tp, "__dlpack__")
    # What an object has been given says nothing of others of its type, and isn't remembered.
    method = x.__dlpack__ if attribute is None else bound(attribute, x, tp)
    remembered = None if attribute is None else recall(tp)
    if remembered is None or remembered[0] is not attribute:
        keywords = signed_keywords(method)
        remembered = (attribute, _KEYWORDS if keywords is None else keywords, keywords is None)
        if attribute is not None:
            remember(tp, remembered)
    _, keywords, guessed = remembered
    first = None
    while True:
        given = {name: value for name, value in wanted.items() if name in keywords}
        try:
            answer = method(**given)
        except TypeError as err:
            first = first or err
            keywords = next((fewer for fewer in _GENERATIONS if not given.keys() <= fewer), None)
            if not guessed or keywords is None or not blames_keywords(err, given):
                raise first
        else:
            break
    if first is not None and attribute is not None:
        remember(tp, (attribute, keywords, True))
    return answer, given.keys()


cdef object recall(tp):
    try:
        return _accepted.get(tp)
    except Exception:
        # A metaclass whose types can't be hashed.
        return None


cdef int remember(tp, tuple what) except -1:
    try:
        _accepted[tp] = what
    except Exception:
        pass
    return 0


def view_from_dlpack(x, /, *, stream=None, dl_device=None, copy=None, bint legacy_readonly=True):
    """Export an object through its ``__dlpack__``.

    Parameters
    ----------
    x
        The producer.
    stream
        The consumer's stream, for device memory.
    dl_device
        Where the data is wanted; the producer moves it.
    copy
        True and False ask the producer for a copy and for none; one that doesn't know the keyword isn't asked.
    legacy_readonly
        What to take memory for where the producer's capsule can't say whether it may be written.

    Returns
    -------
    View

    Raises
    ------
    UnsupportedError, CopyError, DeviceError, DTypeError
        If the producer refuses, or what it hands out can't be taken.
    """
    cdef View view
    wanted = {"max_version": _NEWEST}
    if stream is not None:
        wanted["stream"] = stream
    if dl_device is not None:
        wanted["dl_device"] = dl_device
    if copy is not None:
        wanted["copy"] = copy
    name = name_of(type(x))
    try:
        capsule, given = call_dlpack(x, wanted)
    except Exception as err:
        raised = f"its __dlpack__ raised {said(err)}"
        if dl_device is not None:
            raise DeviceError(f"a {name} can't be moved to {device_of_pair(*dl_device)}: {raised}.") from err
        # What a copy=False that isn't possible raises (array API); numpy and jax choose either.
        if copy is False and isinstance(err, (BufferError, ValueError)):
            raise CopyError(f"a {name} can't be exported without a copy: {raised}.") from err
        raise UnsupportedError(f"a {name} can't be exported: {raised}.") from err
    try:
        view = view_from_capsule(capsule, ordered="stream" in given, legacy_readonly=legacy_readonly)
    except (UnsupportedError, DTypeError, DeviceError) as err:
        raise type(err)(f"what a {name} exports can't be taken: {text_of(err)}") from None
    if copy is False and view.copied:
        raise CopyError(f"a {name} was asked for its own memory and says that it exported a copy. Pass copy=None.")
    if host_accessible(view.tensor.device.device_type):
        view.ordered = True
    else:
        (<Managed> view.owner).order = functools.partial(order, x)
    if dl_device is None:
        check_device(x, view, name)
    elif not same_place(dl_device[0], dl_device[1], view):
        # tvm_ffi was seen to ignore the keyword.
        raise DeviceError(f"a {name} was asked for {device_of_pair(*dl_device)} and exported {view.device}. This is its bug.")
    return view


def order(x, stream):
    """Have a producer order its memory on a stream, by one more export."""
    capsule, given = call_dlpack(x, {"stream": stream, "max_version": _NEWEST})
    if "stream" not in given:
        raise BufferError(f"the __dlpack__ of a {name_of(type(x))} takes no stream")
    return capsule


cdef int check_device(x, View view, str name) except -1:
    """Compare what an object says of its device with what its capsule says."""
    tp = type(x)
    attribute = find(tp, "__dlpack_device__")
    # Where the object itself speaks the protocol, it is the object itself that says so.
    says = getattr(x, "__dlpack_device__", None) if find(tp, "__dlpack__") is None else bound(attribute, x, tp)
    if says is None:
        return 0
    try:
        kind, index = says()
        # Enums of any kind, and paddle's (1, None).
        kind, index = int(kind), int(index or 0)
    except Exception as err:
        raise DeviceError(f"the __dlpack_device__ of a {name} failed: {said(err)}.") from err
    if not same_place(kind, view.tensor.device.device_id, view):
        raise DeviceError(
            f"a {name} says that it is on {device_of_pair(kind, index)} and exports memory on {view.device}. "
            "This is a bug of the producer."
        )
    return 0


cdef bint same_place(kind, index, View view) except -1:
    """Whether memory is where it was said to be; all that the host can read is the host's.

    Page-locked memory of torch is (3, 0) for the object and the host's for the capsule (pytorch#136250).
    """
    if kind in HOST_ACCESSIBLE:
        return host_accessible(view.tensor.device.device_type)
    return (kind, index) == (view.tensor.device.device_type, view.tensor.device.device_id)
