"""Adapters of other people's: what they lack, and a check of what they answer wherever they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast, get_args

from interop._contract import ADAPTER_API, Facts, Limits, Pending
from interop._devices import Device
from interop._dtypes import DType
from interop._native import View
from interop._registry.plugins import mute, note
from interop._words import exact_int, exact_str, is_a, name_of, said, short_name_of, shown, with_article
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._contract import Adapter

_VERBS: Final = (
    "claims", "limits", "describe", "settle", "export", "wrap", "empty", "assign",
    "current_device", "current_stream", "using", "order", "capturing", "retain", "locate",
    "native_dtypes", "native_device", "native_stream",
)  # fmt: skip


def problem(adapter: Any) -> str | None:
    """What keeps an object from being an adapter, in words that go on "... : ", or None."""
    try:
        return _problem(adapter)
    except Exception as err:  # noqa: BLE001 - whatever it raises is what keeps it
        return f"{with_article(name_of(type(adapter)))} isn't one: asked for its parts it raised {said(err)}"


def _problem(adapter: Any) -> str | None:
    if is_a(adapter, type):
        return f"{name_of(adapter)} is a class: offer an object of it, {short_name_of(adapter)}()"
    missing = [name for name in ("api", "name", "modules") if not hasattr(adapter, name)]
    missing += [name for name in _VERBS if not callable(getattr(adapter, name, None))]
    if missing:
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""  # noqa: PLR2004 - two show what kind
        return (
            f"{with_article(name_of(type(adapter)))} isn't one: it lacks {', '.join(missing[:2])}{more} of what "
            "interop.protocols.Adapter lists. Derive from interop.protocols.HostAdapter, which has defaults"
        )
    name, api, modules = adapter.name, adapter.api, adapter.modules
    # What version 1 had beside is ignored.
    if exact_int(api) not in (1, ADAPTER_API):
        spoken = f"version {shown(api)} of the protocol, this release {ADAPTER_API}"
        return f"the adapter {shown(name)} speaks {spoken}"
    if not exact_str(name):
        return f"its name is {shown(name)}, and has to be that of its library"
    if not (is_a(modules, tuple) or is_a(modules, list)) or not all(is_a(module, str) for module in modules):
        return f"its modules are {shown(modules)}, and have to be a tuple of names"
    return None


class Checked:
    """An adapter of somebody else's: what it raises and returns is looked at before anybody believes it.

    Parameters
    ----------
    adapter
        The adapter, which has all parts.
    origin
        Where it comes from, for messages.
    """

    def __init__(self, adapter: Adapter, origin: str) -> None:
        self._adapter = adapter
        self.origin = origin
        self.api, self.name, self.modules = adapter.api, adapter.name, tuple(adapter.modules)

    @property
    def unchecked(self) -> Adapter:
        """The adapter itself."""
        return self._adapter

    @property
    def adapter(self) -> Adapter:
        """The checked adapter, in the role that it plays: what it doesn't look at, ``__getattr__`` passes on."""
        return cast("Adapter", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def _bug(self, what: str, err: Exception | None = None) -> UnsupportedError:
        raised = "" if err is None else f" raised {said(err)}"
        text = f"the adapter {self.name!r} ({self.origin}) is broken: {what}{raised}. This is a bug of the adapter."
        return UnsupportedError(note(self.name, text))

    def _ask(self, default: Any, verb: str, *arguments: Any) -> Any:
        """What it answers, or that it doesn't know: a look-up of something else mustn't fail by it."""
        try:
            return getattr(self._adapter, verb)(*arguments)
        except Exception as err:  # noqa: BLE001 - whatever it raises is written down
            self._bug(f"its {verb}()", err)
            return default

    def claims(self, tp: type, /) -> bool:
        """Nothing where it fails."""
        answer = self._ask(None, "claims", tp)
        if answer is None:
            mute(self.name)
        return answer is True

    def native_dtypes(self) -> Mapping[Any, str]:
        """None where it fails, and those only that have names."""
        told = self._ask({}, "native_dtypes")
        if isinstance(told, dict) and all(isinstance(name, str) for name in told.values()):
            return told
        self._bug(f"its native_dtypes() are {shown(told)}, no dictionary of names")
        return {}

    def native_device(self, device: object, /) -> tuple[int, int] | None:
        """None where it fails."""
        pair = self._ask(None, "native_device", device)
        if pair is None or (isinstance(pair, tuple) and [type(number) for number in pair] == [int, int]):
            return pair
        self._bug(f"its native_device() answered {shown(pair)}, no DLPack pair")
        return None

    def native_stream(self, stream: object, /) -> int | None:
        """None where it fails."""
        handle = self._ask(None, "native_stream", stream)
        return handle if isinstance(handle, int) else None

    def limits(self, device_type: int, /) -> Limits | None:
        """Checked field by field."""
        try:
            told: Any = self._adapter.limits(device_type)
        except Exception as err:
            raise self._bug(f"its limits({device_type})", err) from err
        flaw = None if told is None else _flaw(told, Limits, _LIMITS)
        if flaw:
            raise self._bug(f"its limits({device_type}) returned {flaw}")
        limits: Limits | None = told
        return limits

    def describe(self, x: Any, /) -> Facts:
        """Checked field by field."""
        kind = name_of(type(x))
        try:
            told: Any = self._adapter.describe(x)
        except InteropError:
            raise
        except Exception as err:
            raise self._bug(f"its describe() of {with_article(kind)}", err) from err
        flaw = _flaw(told, Facts, _FACTS)
        if flaw is None and told.strides is not None and len(told.strides) != len(told.shape):
            flaw = f"Facts with {len(told.strides)} strides for {len(told.shape)} axes"
        if flaw:
            raise self._bug(f"its describe() of {with_article(kind)} returned {flaw}")
        facts: Facts = told
        return facts

    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """A View of what the facts say."""
        try:
            view: Any = self._adapter.export(x, facts, stream)
        except (InteropError, MemoryError):
            raise
        except Exception as err:
            raise self._bug(f"its export() of {with_article(name_of(type(x)))}", err) from err
        if not isinstance(view, View):
            raise self._bug(f"its export() returned {shown(view)}, no View")
        said, made = (facts.dtype.name, facts.shape), (view.dtype.name, view.shape)
        if facts.certain and said != made:
            raise self._bug(f"its export() made {made[0]} {made[1]} of what its describe() called {said[0]} {said[1]}")
        if facts.certain and facts.ptr is not None and view.size and view.ptr != facts.ptr:
            raise self._bug(f"its export() starts at {view.ptr:#x} and its describe() said {facts.ptr:#x}")
        if facts.readonly and not view.readonly:
            # Never handed out writable, whatever the adapter forgets.
            return view.with_readonly()
        return view

    def wrap(self, view: View, /) -> Any:
        """An array of its own."""
        made = self._adapter.wrap(view)
        if not self.claims(type(made)):
            raise self._bug(f"its wrap() made {with_article(name_of(type(made)))}, which it doesn't claim")
        return made

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Fresh memory for so many elements: what is written into less is written beyond it."""
        made = self._adapter.empty(dtype, shape, strides, device)
        if not self.claims(type(made)):
            return made
        got = self.describe(made)
        if (got.dtype.name, got.shape) != (dtype.name, shape):
            raise self._bug(f"its empty() made {got.dtype} {got.shape} where {dtype} {shape} was asked for")
        return made

    def current_device(self, device_type: int, /) -> int:
        """A number."""
        index = self._ask(None, "current_device", device_type)
        if type(index) is not int:
            raise self._bug(f"its current_device({device_type}) answered {shown(index)}")
        return index


def _numbers(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(number) is int for number in value)


_PENDING: Final = frozenset(get_args(Pending))

#: What each field of the data may be.
_LIMITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "dtypes": lambda value: isinstance(value, frozenset) and all(isinstance(name, str) for name in value),
    "decodes": lambda value: isinstance(value, frozenset),
    "strides": lambda value: value in {"any", "nonnegative", "dense", "c"},
    "alignment": lambda value: type(value) is int and value >= 0,
    "max_ndim": lambda value: type(value) is int and value >= 0,
    "readonly": lambda value: value in {"keeps", "drops"},
    "immutable": lambda value: type(value) is bool,
    "certain": lambda value: type(value) is bool,
    "swapped": lambda value: type(value) is bool,
}
_FACTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "framework": lambda value: isinstance(value, str),
    "dtype": lambda value: isinstance(value, DType),
    "device": lambda value: isinstance(value, Device),
    "shape": lambda value: _numbers(value) and all(length >= 0 for length in value),
    "strides": lambda value: value is None or _numbers(value),
    "ptr": lambda value: value is None or (type(value) is int and value >= 0),
    "extent": lambda value: value is None or (_numbers(value) and len(value) == 2),  # noqa: PLR2004 - low and high
    "readonly": lambda value: type(value) is bool,
    "immutable": lambda value: type(value) is bool,
    "grad": lambda value: value in {"none", "reverse", "forward"},
    # A word that nothing knows would be memory handed out for values.
    "pending": lambda value: isinstance(value, frozenset) and value <= _PENDING,
    "certain": lambda value: type(value) is bool,
    "traced": lambda value: isinstance(value, str),
    "view": lambda value: value is None or isinstance(value, View),
}


def _flaw(told: Any, kind: type, fields: Mapping[str, Callable[[Any], bool]]) -> str | None:
    """What is wrong with data, or None."""
    if not is_a(told, kind):
        return f"{shown(told)}, no {short_name_of(kind)}"
    for name, is_right in fields.items():
        value = getattr(told, name)
        try:
            right = is_right(value)
        except Exception:  # noqa: BLE001 - what can't be hashed or compared isn't right
            right = False
        if not right:
            return f"{short_name_of(kind)} with {name}={shown(value)}"
    return None
