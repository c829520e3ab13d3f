"""One call of a decorated function: what came in as what, and back as that.

This is the long way, which does everything; calls with plain tensors of one framework take the short one, in the core.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._agnostic._containers import classify
from interop._agnostic._paths import path_to, walk_error
from interop._agnostic._trees import converted, placed
from interop._contract import SupportsDressing
from interop._convert import convert
from interop._copyto import copyto
from interop._inspect import shares_memory
from interop._native import LEAF, CycleError, RebuildError, Walk, implied, is_guarded
from interop._options import NEAREST
from interop._plan.nearest import nearest
from interop._registry.lookup import adapter_for, asked, describe, framework_of, outline
from interop._registry.targets import target_adapter
from interop.errors import (
    CopyError,
    DeviceError,
    GradientError,
    InteropError,
    ReadOnlyError,
    UnsupportedError,
    describe_facts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from interop._agnostic._containers import Kind
    from interop._agnostic._how import How
    from interop._contract import Adapter
    from interop._devices import Device


#: Where nobody guards, nobody has to be told.
_NOTHING: Final = nullcontext()


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of one call."""

    parameter: str
    label: str
    value: Any


@dataclass(frozen=True, slots=True)
class Came:
    """A tensor that came in: what the function got, and what the caller passed.

    `version` counted the writes into it before the call, where its framework counts; `inout` is whether it is written
    back.
    """

    inside: Any
    callers: Any
    argument: Argument
    inout: bool
    version: int | None


@dataclass(frozen=True, slots=True)
class Home:
    """Where results go back to."""

    framework: str
    device: Device
    #: A tensor of the caller's, for whoever dresses results in its class.
    like: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.framework} on {self.device}"


@dataclass(slots=True)
class Call:
    """What one call has to remember of its arguments, for its results."""

    how: How
    came: dict[int, Came] = field(default_factory=dict[int, Came])
    home: Home | None = None

    def enter(self, arguments: list[Argument]) -> list[Any]:
        """The values that the function gets, in the order of the arguments.

        Raises
        ------
        InteropError
            Before the function has been called; naming the function, the argument and the path in it.
        """
        walks = [(each, Walk(classify)) for each in arguments if self.how.looks_at(each.parameter)]
        found = [(each, leaf) for each, walk in walks for leaf in self.collected(each, walk)]
        if not found:
            return [each.value for each in arguments]
        self.home = self._home(arguments, found)
        inside = self._inside(found)
        built = {id(each): walk.build(each.value, [inside[id(leaf)] for leaf in walk.leaves]) for each, walk in walks}
        return [built.get(id(each), each.value) for each in arguments]

    def home_of(self, arguments: list[Argument]) -> Home | None:
        """Where results go back to; None where no argument is a tensor."""
        looked_at = [each for each in arguments if self.how.looks_at(each.parameter)]
        found = [(each, leaf) for each in looked_at for leaf in self.collected(each, Walk(classify))]
        return self._home(arguments, found) if found else None

    def sent(self, value: Any) -> Any:
        """What a generator gets for what its caller sends in."""
        argument = Argument("", "what was sent", value)
        leaves = self.collected(argument, walk := Walk(classify))
        inside = self._inside([(argument, leaf) for leaf in leaves])
        return walk.build(value, [inside[id(leaf)] for leaf in leaves]) if leaves else value

    @classmethod
    def after(cls, how: How, came: list[tuple[Any, Any, int | str, bool]]) -> Call:
        """A call whose arguments came in by the short way: what each became and was, where, and if it was written."""
        call = cls(how)
        for inside, callers, where, written in came:
            parameter = where if isinstance(where, str) else how.parameter_at(where)
            argument = Argument(parameter, where if isinstance(where, str) else how.label_at(where), callers)
            call.came[id(inside)] = Came(inside, callers, argument, inout=False, version=-1 if written else None)
            call.home = call._home_of(argument, callers)
        return call

    def collected(self, argument: Argument, walk: Walk) -> list[Any]:
        """The tensors in an argument."""
        try:
            return walk.collect(argument.value)
        except (CycleError, RebuildError, RecursionError) as err:
            text = walk_error(argument.value, err, argument.label)
            raise UnsupportedError(f"{self.how.name}(), argument {text}") from getattr(err, "__cause__", None)

    def _home(self, arguments: list[Argument], found: list[tuple[Argument, Any]]) -> Home | None:
        """The framework and the device that all have, or that of the argument that was named."""
        kinds: dict[Home, list[tuple[Argument, Any]]] = {}
        for argument, leaf in found:
            kinds.setdefault(self._home_of(argument, leaf), []).append((argument, leaf))
        if len(kinds) == 1:
            return self._followed(next(iter(kinds)), found)
        how = self.how
        who = "; ".join(
            f"{', '.join(path_to(each.value, leaf, each.label) for each, leaf in members)}: {home}"
            for home, members in kinds.items()
        )
        if how.back is None:
            # grad="bridge" takes no back=.
            other = f", or decorate with back={found[0][0].parameter!r} to have results follow that argument"
            msg = (
                f"{how.name}() got tensors of several kinds ({who}), and its results go back as one. Convert them "
                f"first{'' if how.grad == 'bridge' else other}."
            )
            raise UnsupportedError(msg)
        first = next(((each, leaf) for each, leaf in found if each.parameter == how.back), None)
        if first is None:
            given = next((each.label for each in arguments if each.parameter == how.back), None)
            what = "isn't given" if given is None else "holds no tensor that is looked at"
            msg = (
                f"{how.name}() got tensors of several kinds ({who}), and back={how.back!r} names an argument that "
                f"{what}. Convert them first, or pass a tensor there."
            )
            raise UnsupportedError(msg)
        return self._home_of(*first)

    def _followed(self, home: Home, found: list[tuple[Argument, Any]]) -> Home:
        """The home of all, with the argument that was named for what dresses results."""
        named = next((leaf for each, leaf in found if each.parameter == self.how.back), None)
        return home if named is None else replace(home, like=named)

    def _home_of(self, argument: Argument, leaf: Any) -> Home:
        try:
            adapter = adapter_for(leaf)
            known = outline(adapter, leaf)
            device = known[1] if known is not None else describe(adapter, leaf, traced=True).device
            return Home(framework_of(adapter, leaf), device, leaf)
        except InteropError as err:
            raise self._of_leaf(err, argument, leaf) from err

    def _of_leaf(self, err: InteropError, argument: Argument, leaf: Any) -> InteropError:
        """An error about a leaf that names the function and the leaf, and what to tell the decorator."""
        where = f"{self.how.name}(), argument {path_to(argument.value, leaf, argument.label)}"
        return placed(err, where, fix=_fix_of(err, self.how))

    def _inside(self, found: list[tuple[Argument, Any]]) -> dict[int, Any]:
        """What the function gets in the place of each leaf, by the leaf's id."""
        how, target = self.how, self.how.target
        inside: dict[int, Any] = {}
        groups: dict[tuple[tuple[str, Any], ...], list[tuple[Argument, Any]]] = {}
        for argument, leaf in found:
            own = adapter_for(leaf).name == target.name
            if own and not how.options:
                inside.setdefault(id(leaf), leaf)
                continue
            inout = argument.parameter in how.inout
            if inout:
                self._refuse_readonly(argument, leaf)
            options = self.options_of(leaf, own=own, inout=inout)
            groups.setdefault(tuple(options.items()), []).append((argument, leaf))
        for chosen, members in groups.items():
            self._convert(members, target, dict(chosen), inside)
        return inside

    def _convert(
        self, members: list[tuple[Argument, Any]], target: Adapter, options: dict[str, Any], inside: dict[int, Any]
    ) -> None:
        by_id = {id(leaf): (argument, leaf) for argument, leaf in members if id(leaf) not in inside}
        leaves = [leaf for _, leaf in by_id.values()]

        def wrong(err: InteropError, leaf: Any) -> InteropError:
            return self._of_leaf(err, by_id[id(leaf)][0], leaf)

        made = converted(leaves, target, options, wrong)
        for (argument, leaf), result in zip(by_id.values(), made, strict=True):
            inside[id(leaf)] = result
            if result is not leaf:
                counted = _version_of(target, result)
                inout = argument.parameter in self.how.inout
                self.came[id(result)] = Came(result, leaf, argument, inout, counted)

    def options_of(self, leaf: Any, *, own: bool, inout: bool) -> dict[str, Any]:
        """The options that a leaf comes in by."""
        how, adapter = self.how, adapter_for(leaf)
        options = dict(how.options)
        room = how.target.limits(1)
        if not own and not inout and "writable" not in options and (room is None or room.readonly == "keeps"):
            # A write would reach callers on the host, and not those on a device.
            options["writable"] = False
        if not own and (how.grad in ("cut", "bridge") or _is_unrecorded(adapter, leaf)):
            options["detach"] = True
        return options

    def _refuse_readonly(self, argument: Argument, leaf: Any) -> None:
        facts = describe(adapter_for(leaf), leaf)
        if facts.readonly or facts.immutable:
            msg = (
                f"{self.how.name}() writes into {argument.label}, and {describe_facts(facts)} can't be written. Pass "
                "an array that can, or a copy."
            )
            raise ReadOnlyError(msg)

    def leave(self, result: Any) -> Any:
        """What the caller gets for what the function returned; what it wrote is written back before."""
        self._settle_writes()
        home = self.home
        if home is None:
            return result
        walk = Walk(classify_result)
        try:
            leaves = walk.collect(result)
            return walk.build(result, [self._back(result, leaf, home) for leaf in leaves]) if leaves else result
        except (CycleError, RebuildError, RecursionError) as err:
            text = walk_error(result, err, "result")
            raise UnsupportedError(f"{self.how.name}(), {text}") from getattr(err, "__cause__", None)

    def _settle_writes(self) -> None:
        for each in self.came.values():
            if each.inout:
                if not shares_memory(each.inside, each.callers):
                    copyto(each.callers, each.inside)
            elif each.version is not None and _version_of(self.how.target, each.inside) != each.version:
                label = each.argument.label
                msg = (
                    f"{self.how.name}() wrote into {path_to(each.argument.value, each.callers, label)}, which isn't "
                    "its own: the write reaches some callers and not others. Decorate with "
                    f"inout=({each.argument.parameter!r},) to have it written back, or copy it first."
                )
                raise ReadOnlyError(msg)

    def _back(self, result: Any, leaf: Any, home: Home) -> Any:
        came = self.came.get(id(leaf))
        if came is not None and _same_dtype(came):
            return came.callers
        try:
            return self._converted_back(np.asarray(leaf) if isinstance(leaf, np.generic) else leaf, home)
        except InteropError as err:
            where = f"{self.how.name}(), {path_to(result, leaf, 'result')}"
            raise placed(err, where, fix=_fix_of(err, self.how)) from err

    def _converted_back(self, x: Any, home: Home) -> Any:
        target = target_adapter(home.framework)
        options = self._options_back(x, target, home)
        # The caller's framework and device were named by nobody.
        with implied() if is_guarded() else _NOTHING:
            made = convert(x, target.name, **options)
        if isinstance(target, SupportsDressing):
            made = asked(target, made, target.dress, made, home.like)
        return made

    def _options_back(self, x: Any, target: Adapter, home: Home) -> dict[str, Any]:
        """The options that a result goes back by: none where nothing has to be done, which is the fast way."""
        adapter = adapter_for(x)
        known = outline(adapter, x)
        if known is None:
            facts = describe(adapter, x, traced=True)
            known = facts.dtype, facts.device
        dtype, device = known
        options: dict[str, Any] = {}
        if device.dlpack != home.device.dlpack:
            options["device"] = home.device
        room, asked = target.limits(home.device.type_code), self.how.back_dtype
        if asked == NEAREST:
            found = None if adapter.name == target.name or room is None else nearest(dtype.name, room.dtypes)
            asked = None if found == dtype.name else found
        if asked is not None:
            options["dtype"] = asked
        if self.how.grad == "cut":
            options["detach"] = True
        if self._is_callers_memory(x):
            # Readonly is what it was handed in as; the memory is the caller's own.
            options["writable"] = False
        return options

    def _is_callers_memory(self, x: Any) -> bool:
        facts = describe(adapter_for(x), x, traced=True)
        if not facts.readonly or facts.traced:
            return False
        for came in self.came.values():
            try:
                if shares_memory(came.callers, x) and not describe(adapter_for(came.callers), came.callers).readonly:
                    return True
            except InteropError:
                continue
        return False


def _version_of(adapter: Adapter, x: Any) -> int | None:
    """How many writes into a tensor its framework has counted; None where it doesn't count."""
    try:
        return next((int(counter.__get__(x)) for counter in getattr(adapter, "writes", ())), None)
    except RuntimeError:  # of a tensor of inference mode
        return None


def _is_unrecorded(adapter: Adapter, leaf: Any) -> bool:
    """Whether a tensor that requires grad loses nothing, since no graph is recorded here and now."""
    records = getattr(adapter, "records", None)
    return records is not None and not records() and describe(adapter, leaf, traced=True).grad == "reverse"


def _same_dtype(came: Came) -> bool:
    inside, callers = (describe(adapter_for(x), x, traced=True).dtype.name for x in (came.inside, came.callers))
    return inside == callers


def classify_result(x: Any) -> Kind:
    """As :func:`classify`, but numpy's scalars are tensors: what a function returns of a sum."""
    return (LEAF, None) if isinstance(x, np.generic) else classify(x)


#: What an error of a conversion is mended by at the decorator.
_FIXES: Final[Mapping[type[InteropError], Callable[[How], str]]] = {
    GradientError: lambda _: (
        "Decorate with grad='cut' to have the values without the graph, or with grad='bridge' to carry gradients "
        "across."
    ),
    DeviceError: lambda how: "" if "device" in how.options else "Decorate with device='cpu' to have it moved there.",
    CopyError: lambda how: "Decorate without copy=False to have it copied." if how.options.get("copy") is False else "",
}


def _fix_of(err: InteropError, how: How) -> str:
    return next((fix(how) for kind, fix in _FIXES.items() if isinstance(err, kind)), "")


def arguments_of(how: How, given: tuple[Any, ...], named: Mapping[str, Any]) -> list[Argument]:
    """The arguments of a call with their names."""

    def each() -> Iterator[Argument]:
        for index, value in enumerate(given):
            yield Argument(how.parameter_at(index), how.label_at(index), value)
        for name, value in named.items():
            yield Argument(name, name, value)

    return list(each())
