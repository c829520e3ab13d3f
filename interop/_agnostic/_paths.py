"""Where in a tree an object is, for messages and plans: found by a walk of its own, which only they pay for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from interop._agnostic._containers import classify, container_of
from interop._native import LEAF, CycleError, RebuildError
from interop._words import name_of, said, with_article
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a path begins with.
ROOT: Final = "tree"


def _children(x: Any) -> list[tuple[str, Any]]:
    container = container_of(x)
    if container is None:
        return []
    try:
        return list(zip(container.names(x), container.children(x), strict=True))
    except Exception:  # noqa: BLE001 - the walk has said, or says, what is wrong with it
        return []


def places(tree: Any, root: str = ROOT) -> Iterator[tuple[str, Any]]:
    """Every object of a tree with the first path to it, each once, in the order in which they are met."""
    seen: set[int] = set()
    # Children that are made for the walk stay alive for as long, so that no two have one address.
    held = []
    stack = [(root, tree)]
    while stack:
        path, x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        held.append(x)
        yield path, x
        stack.extend((path + name, child) for name, child in reversed(_children(x)))


def path_to(tree: Any, wanted: Any, root: str = ROOT) -> str:
    """The first path to an object."""
    return next((path for path, x in places(tree, root) if x is wanted), root)


def leaves_of(tree: Any, root: str = ROOT) -> Iterator[tuple[str, Any]]:
    """The leaves of a tree with their paths, in the order of the walk that converts them."""
    return ((path, x) for path, x in places(tree, root) if classify(x)[0] == LEAF)


def cycle_in(tree: Any, root: str = ROOT) -> str:
    """The path at which a container is met inside of itself."""
    stack: list[tuple[str, Any, frozenset[int]]] = [(root, tree, frozenset())]
    while stack:
        path, x, above = stack.pop()
        if id(x) in above:
            return path
        inside = above | {id(x)}
        stack.extend((path + name, child, inside) for name, child in reversed(_children(x)) if _children(child))
    return root


def walk_error(tree: Any, err: BaseException, root: str = ROOT) -> UnsupportedError:
    """One of our errors for what ended a walk: a cycle, a depth, a container that can't be rebuilt."""
    if isinstance(err, CycleError):
        msg = f"{cycle_in(tree, root)} is a container that holds itself: a tree has no cycles. Take it out first."
    elif isinstance(err, RebuildError):
        x = err.args[0]
        why = "" if err.__cause__ is None else f" ({said(err.__cause__)})"
        name = with_article(name_of(type(x)))
        msg = (
            f"{path_to(tree, x, root)} is {name}, which can't be taken apart and rebuilt{why}. Pass what it holds in a "
            "dict or a list, or register its class with torch's, jax's or optree's trees."
        )
    else:
        msg = f"the tree is nested too deep to be walked ({said(err)}). Pass parts of it."
    return UnsupportedError(msg)
