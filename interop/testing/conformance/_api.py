"""The calls that authors make."""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

from interop.testing.conformance._discover import find
from interop.testing.conformance._execute import TIMEOUT
from interop.testing.conformance._known import KNOWN
from interop.testing.conformance._report import Report
from interop.testing.conformance._run import CONSUMER_CHECKS, PRODUCER_CHECKS, Isolation, chosen, run_checks
from interop.testing.conformance._subject import Subject, with_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from interop.testing.conformance._check import Check


def _name_of(given: Callable[..., Any] | str) -> str:
    if isinstance(given, str):
        return given.replace(":", ".")
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", type(given).__name__)
    return f"{module}.{name}" if module else name


def _version_of(name: str) -> str:
    package = name.partition(".")[0]
    try:
        module = importlib.import_module(package)
    except (ImportError, ValueError):
        return ""
    told = getattr(module, "__version__", None)
    if told is not None:
        return str(told)
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def check_producer(
    make: Callable[..., Any] | str,
    *,
    readonly: Callable[..., Any] | str | None = None,
    refused: Sequence[str] = (),
    tricky: Mapping[str, Sequence[float]] | None = None,
    imports: str = "",
    checks: Iterable[str] | None = None,
    isolate: Isolation = "risky",
    timeout: float = TIMEOUT,
    name: str | None = None,
) -> Report:
    """Check what a library exports: its ``__dlpack__``, C exchange API, array interface and buffers.

    Parameters
    ----------
    make
        From a numpy array to an array of the library with the same shape, element type and values, such as the
        library's ``asarray``: a function, or its name as ``"module:function"``. What it raises for an element type
        or a shape means that the library hasn't got it. The checks slice and transpose its results, where they can.
    readonly
        Like `make`, and what it makes is readonly or immutable; where all arrays are, the same as `make`.
    refused
        What the library must not export, as Python expressions, such as ``"mylib.lazy(3)"``.
    tricky
        Arrays of float32 that aren't what their memory says, as Python expressions, each with its values, such as
        ``{"mylib.ones(2).lazily_negated()": [-1.0, -1.0]}``. They may be refused.
    imports
        Lines of Python that those expressions need.
    checks
        Names of checks; all of them by default.
    isolate
        What runs in other processes: ``"risky"`` checks, of which libraries have died, ``"all"`` or ``"none"``.
        Other processes import `make`; pass a function of a module.
    timeout
        Seconds that a check in another process may take; one that takes longer is a violation. What hangs in this
        process hangs it.
    name
        What the library is called in the report.

    Returns
    -------
    Report
        Truth by ``report.ok``; :meth:`Report.assert_conformant` raises.

    Raises
    ------
    ValueError
        If `make` makes no array.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing import conformance
    >>> def careless(values):
    ...     return Careless(values)
    >>> class Careless:
    ...     def __init__(self, values):
    ...         self.values = values
    ...     def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    ...         return self.values.__dlpack__(max_version=max_version)
    ...     def __dlpack_device__(self):
    ...         return (1, 0)
    >>> report = conformance.check_producer(careless, checks=["export-capsule-name", "export-copy-true"])
    >>> [result.seen for result in report.violations]
    ['copy=True gives the memory itself']
    """
    subject = Subject(
        name=name or _name_of(make),
        imports=imports,
        refused=tuple(refused),
        tricky=tuple((x, repr(list(values))) for x, values in (tricky or {}).items()),
    )
    subject = with_callable(with_callable(subject, "make", make), "readonly", readonly)
    return _report(subject, chosen(PRODUCER_CHECKS, checks), isolate, timeout)


def check_consumer(
    from_dlpack: Callable[..., Any] | str,
    *,
    to_numpy: Callable[..., Any] | str | None = None,
    ndims: Sequence[int] | None = None,
    checks: Iterable[str] | None = None,
    isolate: Isolation = "risky",
    timeout: float = TIMEOUT,
    name: str | None = None,
) -> Report:
    """Check what a library imports: what it asks of a producer, what it takes, how it reads it, when it lets go.

    Parameters
    ----------
    from_dlpack
        The library's consumer: takes an object with ``__dlpack__``, and the keyword `copy` if it can.
    to_numpy
        From what `from_dlpack` gave to a numpy array of the same values; ``numpy.from_dlpack`` by default.
    ndims
        The numbers of dimensions that the library's arrays can have; all by default.
    checks, isolate, timeout, name
        See :func:`check_producer`.

    Returns
    -------
    Report
        Truth by ``report.ok``; :meth:`Report.assert_conformant` raises.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing import conformance
    >>> report = conformance.check_consumer(np.from_dlpack, checks=["import-takes", "import-byte-offset"])
    >>> report.ok
    True
    """
    subject = Subject(name=name or _name_of(from_dlpack), ndims=None if ndims is None else tuple(ndims))
    subject = with_callable(with_callable(subject, "from_dlpack", from_dlpack), "to_numpy", to_numpy)
    return _report(subject, chosen(CONSUMER_CHECKS, checks), isolate, timeout)


def _report(subject: Subject, checks: Sequence[Check], isolate: Isolation, timeout: float) -> Report:
    results = run_checks(subject, checks, isolate=isolate, timeout=timeout)
    return Report(subject=subject.name, version=_version_of(subject.name), results=results)


def check(
    target: str,
    *,
    make: Callable[..., Any] | str | None = None,
    from_dlpack: Callable[..., Any] | str | None = None,
    to_numpy: Callable[..., Any] | str | None = None,
    readonly: Callable[..., Any] | str | None = None,
    checks: Iterable[str] | None = None,
    isolate: Isolation = "risky",
    timeout: float = TIMEOUT,
    progress: Callable[[Check], None] = lambda _: None,
) -> Report:
    """Check a library as producer and as consumer, found from the name of its array type.

    Parameters
    ----------
    target
        ``"package:Type"``, the name of a module, or a library that is known by name (:data:`WORLD`). The producer is
        the first function named asarray, array, from_numpy, as_tensor, to_tensor, tensor or from_dlpack, of the type,
        its module or its package, that makes such an array of a numpy array, or the type itself; the consumer is
        their from_dlpack.
    make, from_dlpack, to_numpy, readonly
        Instead of what was found; see :func:`check_producer` and :func:`check_consumer`.
    checks
        Names of checks, which may be of both sides; all of them by default.
    isolate, timeout
        See :func:`check_producer`.
    progress
        Called with each check that is about to run.

    Raises
    ------
    LookupError
        If the target, what makes its arrays, or both its sides can't be found.
    ValueError
        If `make` makes no array.

    Examples
    --------
    >>> from interop.testing import conformance
    >>> report = conformance.check("numpy:ndarray", checks=["export-device", "import-takes"])
    >>> [(result.check.role.value, result.outcome.value) for result in report]
    [('producer', 'conformant'), ('consumer', 'conformant')]
    """
    subject = find(target, given=make is not None)
    given = {"make": make, "from_dlpack": from_dlpack, "to_numpy": to_numpy, "readonly": readonly}
    for part, value in given.items():
        subject = with_callable(subject, part, value)
    sides: list[Check] = [*(PRODUCER_CHECKS if subject.make else ()), *(CONSUMER_CHECKS if subject.from_dlpack else ())]
    if not sides:
        raise LookupError(f"{target} has neither a factory nor a from_dlpack that can be found: name them")
    names = None if checks is None else list(checks)
    wanted = sides if names is None else [each for each in sides if each.name in names]
    unknown = set(names or ()) - {each.name for each in (*PRODUCER_CHECKS, *CONSUMER_CHECKS)}
    if unknown:
        raise ValueError(f"no check is named {', '.join(sorted(unknown))}")
    upstream = {key: known.upstream for key, known in KNOWN.get(subject.name, {}).items()}
    results = run_checks(subject, wanted, isolate=isolate, timeout=timeout, upstream=upstream, progress=progress)
    return Report(subject=subject.name, version=_version_of(subject.name), results=results)
