"""convert_tree and explain_tree: containers of tensors, one object in and one object out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from interop import _options
from interop._agnostic._containers import classify
from interop._agnostic._paths import leaves_of, path_to, walk_error
from interop._agnostic._sharing import clusters, spread, without_doubles
from interop._convert import convert, explain
from interop._devices import CPU
from interop._native import CycleError, RebuildError, Walk, all_answer, convert_all
from interop._registry.lookup import adapter_for_type
from interop._registry.targets import target_adapter
from interop._words import text_of
from interop.errors import InteropError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from interop._contract import Adapter
    from interop._options import Options
    from interop._plan.plan import Plan
    from interop._typed import ConvertOptions

    #: An error and the leaf that it is about, to the error to raise.
    _Wrong = Callable[[InteropError, Any], InteropError]

_E = TypeVar("_E", bound=InteropError)


@dataclass(frozen=True, slots=True)
class TreePlan:
    """What :func:`interop.convert_tree` does, or why it can't be done.

    Attributes
    ----------
    target
        The name of the framework.
    ok
        Whether ``convert_tree`` with the same arguments succeeds.
    error
        A fresh instance of the error that it would raise, or None.
    certain
        Whether the rest is exact; where not, the plans of the leaves say what is open.
    copied_bytes, transferred_bytes
        Bytes that copies, and moves between devices, write; memory that leaves share is counted once.
    leaves
        The plan of each leaf by the first path to it, such as ``tree["layers"][3].weight``.
    """

    target: str
    ok: bool
    error: InteropError | None
    certain: bool = True
    copied_bytes: int = 0
    transferred_bytes: int = 0
    leaves: Mapping[str, Plan] = field(default_factory=dict[str, "Plan"])

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return "\n".join([f"tree -> {self.target}: {self._verdict()}", *map(_line, self.leaves.items())])

    def _verdict(self) -> str:
        if self.error is not None:
            return f"refused, {type(self.error).__name__}: {self.error}"
        views = sum(plan.zero_copy for plan in self.leaves.values())
        many = f"{len(self.leaves):,} {'leaf' if len(self.leaves) == 1 else 'leaves'}"
        counts = ((self.copied_bytes, "bytes copied"), (self.transferred_bytes, "bytes moved between devices"))
        return ", ".join(
            [f"{many}, {views:,} without a copy", *(f"{count:,} {what}" for count, what in counts if count)]
        )


def _line(leaf: tuple[str, Plan]) -> str:
    path, plan = leaf
    first, *rest = str(plan).splitlines()
    notes = [line for line in rest if line.lstrip().startswith(("why:", "note:"))]
    return "\n".join([f"  {path}: {first}", *(f"  {line}" for line in notes)])


def convert_tree(tree: Any, to: str | ModuleType, /, **options: Unpack[ConvertOptions]) -> Any:
    """Convert every tensor in a container, however deep, and give the same containers around them.

    Parameters
    ----------
    tree
        A tensor, or containers of them: dicts of every kind, lists, tuples, named tuples, deques, dataclasses, classes
        of attrs, and what torch's, jax's or optree's registry of trees knows, where that library is loaded. Everything
        else comes through as it is: None, strings, numbers and numpy's scalars, sets, generators, other objects.
    to, **options
        As in :func:`convert`, for every leaf.

    Returns
    -------
    object
        Of the type of `tree`; `tree` itself where nothing in it changed, and so for each part of it.

    Raises
    ------
    UnsupportedError
        The tree holds itself, or holds a container that can't be rebuilt.
    InteropError
        What :func:`convert` raises of a leaf, with the path to it. Every leaf is planned before one is copied: after a
        refusal nothing has been converted.

    See Also
    --------
    explain_tree : what it would do.

    Notes
    -----
    No class's ``__init__``, ``__new__`` or ``_make`` is run. What the tree holds twice is converted once, and leaves
    whose memory overlaps go on sharing memory where they are copied, cast or moved, as far as the target's arrays can:
    a tied state dict doesn't double.

    Examples
    --------
    >>> import numpy as np, interop
    >>> batch = {"x": np.ones(2, "float32"), "meta": ("train", 3)}
    >>> interop.convert_tree(batch, "torch")
    {'x': tensor([1., 1.]), 'meta': ('train', 3)}
    """
    return convert_leaves(tree, target_adapter(to), dict(options))


def explain_tree(tree: Any, to: str | ModuleType, /, **options: Unpack[ConvertOptions]) -> TreePlan:
    """Tell what :func:`convert_tree` with the same arguments would do, leaf by leaf; nothing moves.

    Parameters
    ----------
    tree, to, **options
        As in :func:`convert_tree`.

    Returns
    -------
    TreePlan
        ``print(plan)`` is for people; ``plan.leaves`` has the plan of each leaf by its path.

    Raises
    ------
    InteropError
        Only for arguments that no conversion takes, as :func:`explain`; a tree that can't be walked is a failed plan.

    Examples
    --------
    >>> import numpy as np, interop
    >>> plan = interop.explain_tree({"a": np.ones(2), "b": [np.zeros(3)[::-1]]}, "torch")
    >>> plan.copied_bytes, list(plan.leaves)
    (24, ['tree["a"]', 'tree["b"][0]'])
    """
    target, parsed = target_adapter(to), _options.parse(**options)
    try:
        Walk(classify).collect(tree)
    except (CycleError, RebuildError, RecursionError) as err:
        return TreePlan(target.name, ok=False, error=walk_error(tree, err))
    found = dict(leaves_of(tree))
    leaves = list(found.values())
    plans = [explain(leaf, to, **options) for leaf in leaves]
    plans = without_doubles(plans, clusters(leaves, list(plans), target, parsed))
    by_path = dict(zip(found, plans, strict=True))
    wrong = next(((path, plan) for path, plan in by_path.items() if plan.error is not None), None)
    return TreePlan(
        target=target.name,
        ok=wrong is None,
        error=None if wrong is None or wrong[1].error is None else placed(wrong[1].error, wrong[0]),
        certain=all(plan.certain for plan in plans),
        copied_bytes=sum(plan.copied_bytes for plan in plans),
        transferred_bytes=sum(plan.transferred_bytes for plan in plans),
        leaves=by_path,
    )


def placed(error: _E, where: str, fix: str = "") -> _E:
    """An error of the same class that says where the leaf is, and what else would mend it."""
    return type(error)(f"{where}: {text_of(error)}{fix and ' '}{fix}")


def convert_leaves(tree: Any, target: Adapter, options: dict[str, Any]) -> Any:
    """Convert a tree to a framework that is known."""
    _options.parse(**options)
    walk = Walk(classify)

    def wrong(err: InteropError, leaf: Any) -> InteropError:
        return placed(err, path_to(tree, leaf))

    try:
        leaves = walk.collect(tree)
        return walk.build(tree, converted(leaves, target, options, wrong)) if leaves else tree
    except (CycleError, RebuildError, RecursionError) as err:
        raise walk_error(tree, err) from getattr(err, "__cause__", None)


def converted(
    leaves: list[Any],
    target: Adapter,
    options: dict[str, Any],
    wrong: _Wrong,
) -> list[Any]:
    """What the leaves of a tree become, in their order: all are planned before one is copied.

    Parameters
    ----------
    wrong
        Called with an error and the leaf that it is about, for the error to raise.
    """
    parsed = _options.parse(**options)
    results: list[Any] = []
    if _may_view(target, parsed) and all_answer(leaves, partial(_asked, target)):
        results = convert_all(convert, leaves, (target.name,), {**options, "copy": False})
    done = len(results)
    if done == len(leaves):
        return results
    plans: list[Plan | None] = [None] * done
    for leaf in leaves[done:]:
        plan = explain(leaf, target.name, **options)
        if plan.error is not None:
            raise wrong(plan.error, leaf)
        plans.append(plan)
    made: dict[int, Any] = {}
    for cluster in clusters(leaves, plans, target, parsed):
        made |= _told(wrong, leaves[cluster.alike[0][0]], spread, cluster, leaves, target, options)
    for number in range(done, len(leaves)):
        leaf = leaves[number]
        if number not in made:
            made[number] = _told(wrong, leaf, convert, leaf, target.name, **options)
        results.append(made[number])
    return results


def _told(
    wrong: Callable[[InteropError, Any], InteropError],
    leaf: Any,
    call: Callable[..., Any],
    /,
    *given: Any,
    **options: Any,
) -> Any:
    """Make a call; what it raises of a leaf says where that is."""
    try:
        return call(*given, **options)
    except InteropError as err:
        raise wrong(err, leaf) from err


def _may_view(target: Adapter, parsed: Options) -> bool:
    """Whether leaves are tried as views first: what such a call gives is what the plan would have given."""
    asks = parsed.copy or parsed.order or parsed.writable or parsed.dtype or parsed.device
    room = target.limits(CPU)
    return not asks and room is not None and not room.immutable and room.certain


def _asked(target: Adapter, tp: type) -> tuple[tuple[Any, Any], ...]:
    """What leaves answer before one is converted, whose memory would be locked for a tree that is refused."""
    adapter = adapter_for_type(tp)
    asked: tuple[tuple[Any, Any], ...] = () if adapter is target else getattr(adapter, "plain", ())
    return asked
