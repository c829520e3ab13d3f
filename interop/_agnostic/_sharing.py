"""Leaves that lie on one memory: what is copied of them stays on one memory, too, where the target can express it.

A tied state dict mustn't double, and two windows of one storage that are converted by a cast have to see each other's
writes as before. What stays a view needs nothing of this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from interop import _layout
from interop._convert import convert
from interop._inspect import view
from interop._native import make_view
from interop._registry.lookup import adapter_for, describe
from interop.errors import InteropError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from interop._contract import Adapter, Facts
    from interop._options import Options
    from interop._plan.plan import Plan

#: A span is copied whole up to so many times the bytes of its leaves: ``x[::1000]`` mustn't copy a thousandfold.
_MOST: Final = 2


@dataclass(frozen=True, slots=True)
class Cluster:
    """Leaves that would be copied, and whose extents overlap.

    Parameters
    ----------
    alike
        The numbers of the leaves, in lists of those that are the same elements.
    facts
        The facts of one leaf of each list.
    span
        Lowest and highest address, where all of it is copied at once and the leaves are laid into the copy; None where
        each list is copied for itself.
    why
        Why they are copied apart, in words; empty where nothing is lost.
    """

    alike: tuple[tuple[int, ...], ...]
    facts: tuple[Facts, ...]
    span: tuple[int, int] | None
    why: str = ""

    @property
    def nbytes(self) -> int:
        """What is written, in bytes of the source's element type."""
        if self.span is not None:
            return self.span[1] - self.span[0]
        return sum(_nbytes(facts) for facts in self.facts)


def clusters(leaves: list[Any], plans: list[Plan | None], target: Adapter, options: Options) -> list[Cluster]:
    """Find what is copied of one memory.

    Parameters
    ----------
    plans
        Of the leaves, in their order; None for those that are converted already, on their own memory.
    """
    found = []
    for number, plan in enumerate(plans):
        if plan is None or plan.zero_copy or not plan.certain or not plan.ok:
            continue
        facts = _facts(leaves[number])
        if facts is not None:
            found.append((number, facts))
    found.sort(key=lambda each: (each[1].device.dlpack, each[1].extent))
    return [_cluster(group, target, options) for group in _overlapping(found)]


def _facts(x: Any) -> Facts | None:
    """The facts of what has memory that is known and not empty."""
    try:
        facts = describe(adapter_for(x), x)
    except InteropError:
        return None
    known = facts.extent is not None and facts.ptr is not None and facts.strides is not None
    return facts if known and 0 not in facts.shape else None


def _overlapping(found: list[tuple[int, Facts]]) -> Iterator[list[tuple[int, Facts]]]:
    group: list[tuple[int, Facts]] = []
    device, end = None, 0
    for number, facts in found:
        low, high = facts.extent or (0, 0)
        if group and facts.device.dlpack == device and low < end:
            group.append((number, facts))
            end = max(end, high)
            continue
        if len(group) > 1:
            yield group
        group, device, end = [(number, facts)], facts.device.dlpack, high
    if len(group) > 1:
        yield group


def _cluster(group: list[tuple[int, Facts]], target: Adapter, options: Options) -> Cluster:
    same: dict[object, list[tuple[int, Facts]]] = {}
    for number, each in group:
        key = (each.framework, each.ptr, each.shape, each.strides, each.dtype.name, each.pending, each.grad)
        same.setdefault(key, []).append((number, each))
    alike = tuple(tuple(number for number, _ in members) for members in same.values())
    facts = tuple(members[0][1] for members in same.values())
    if len(alike) == 1:
        return Cluster(alike, facts, None)
    why = _apart(facts, target, options)
    return Cluster(alike, facts, None if why else _ends(facts), why)


def _ends(facts: tuple[Facts, ...]) -> tuple[int, int]:
    extents = [each.extent for each in facts if each.extent is not None]
    return min(low for low, _ in extents), max(high for _, high in extents)


def _apart(facts: tuple[Facts, ...], target: Adapter, options: Options) -> str:
    """Why leaves that overlap can't stay so; empty where they can."""
    (low, high), item = _ends(facts), facts[0].dtype.itemsize
    against = (
        (len({(each.dtype.name, each.framework) for each in facts}) > 1, "their element types differ"),
        (any(each.pending or each.grad != "none" for each in facts), "their framework has to settle each of them"),
        (any(_overlaps_itself(each) for each in facts), "several indices of one share an element"),
        (options.order is not None, f"order={options.order!r} lays each of them out anew"),
        (
            (high - low) % item or any(((each.ptr or 0) - low) % item for each in facts),
            "they are no whole elements apart",
        ),
        (
            high - low > _MOST * sum(map(_nbytes, facts)),
            f"the memory between them is more than {_MOST} times theirs",
        ),
    )
    return next((why for wrong, why in against if wrong), "") or _kept_apart_by(target, facts, options)


def _overlaps_itself(facts: Facts) -> bool:
    return _layout.overlaps(facts.shape, facts.strides or ())


def _kept_apart_by(target: Adapter, facts: tuple[Facts, ...], options: Options) -> str:
    device = options.device[0] if options.device is not None else facts[0].device.type_code
    room = target.limits(device)
    dtype = facts[0].dtype if options.dtype is None else options.dtype
    if room is None or room.immutable or not room.certain or dtype.name in room.own or room.alignment > 1:
        return f"{target.name}'s arrays don't share their memory"
    if not all(each.strides is not None and _layout.fits(each.shape, each.strides, room.strides) for each in facts):
        return f"{target.name} can't hold all of their strides"
    return ""


def _nbytes(facts: Facts) -> int:
    return _layout.nbytes(facts.shape, facts.dtype.itemsize)


def spread(cluster: Cluster, leaves: list[Any], target: Adapter, options: dict[str, Any]) -> dict[int, Any]:
    """Convert what a cluster is about: the results by the numbers of the leaves."""
    made: dict[int, Any] = {}
    if cluster.span is None:
        for numbers in cluster.alike:
            made |= dict.fromkeys(numbers, convert(leaves[numbers[0]], target.name, **options))
        return made
    low, high = cluster.span
    first = cluster.facts[0]
    count = (high - low) // first.dtype.itemsize
    leaf = leaves[cluster.alike[0][0]]
    span = _part(adapter_for(leaf), leaf, first, low, ((count,), (1,)))
    options = {**options, "copy": True}
    whole = convert(span, target.name, **options)
    there = describe(target, whole)
    for numbers, facts in zip(cluster.alike, cluster.facts, strict=True):
        offset = ((facts.ptr or 0) - low) // first.dtype.itemsize
        ptr = (there.ptr or 0) + offset * there.dtype.itemsize
        part = _part(target, whole, there, ptr, (facts.shape, facts.strides or ()))
        if type(part) is not type(whole):
            part = convert(part, target.name, copy=False, stream=-1 if not there.device.is_host else None)
        made |= dict.fromkeys(numbers, part)
    return made


def _part(adapter: Adapter, x: Any, facts: Facts, ptr: int, layout: tuple[tuple[int, ...], tuple[int, ...]]) -> Any:
    """Other elements of the memory that an array is on: by its framework where that says how, else as a View."""
    shape, strides = layout
    verb = getattr(adapter, "part", None)
    if verb is not None:
        return verb(x, shape, strides, (ptr - (facts.ptr or 0)) // facts.dtype.itemsize)
    known = view(x)
    dtype = facts.dtype
    return make_view(
        ptr,
        shape,
        strides,
        (dtype.code, dtype.bits, dtype.lanes),
        facts.device.dlpack,
        readonly=facts.readonly,
        owner=known.owner,
        ordered=True,
    )


def without_doubles(plans: list[Plan], found: list[Cluster]) -> list[Plan]:
    """The plans with each byte counted once: what is one memory afterwards is written by one of them."""
    counted = list(plans)
    for cluster in found:
        counts = [0] * len(plans)
        for place, (numbers, facts) in enumerate(zip(cluster.alike, cluster.facts, strict=True)):
            # A span is counted with its first leaf.
            whole = cluster.nbytes if place == 0 else 0
            counts[numbers[0]] = _nbytes(facts) if cluster.span is None else whole
        for place, numbers in enumerate(cluster.alike):
            size = _nbytes(cluster.facts[place])
            for number in numbers:
                plan, share = plans[number], counts[number]
                counted[number] = replace(
                    plan,
                    copied_bytes=plan.copied_bytes * share // size,
                    transferred_bytes=plan.transferred_bytes * share // size,
                    cautions=(*plan.cautions, f"it overlaps other leaves, and becomes memory of its own: {cluster.why}")
                    if cluster.why
                    else plan.cautions,
                )
    return counted
