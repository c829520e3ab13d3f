"""Containers that other libraries' registries know: asked where the library is loaded, one row each.

Each of them takes an object apart and puts one together by the functions that were registered for its class; what those
run is their author's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry of containers.

    Parameters
    ----------
    module
        Where its ``tree_flatten`` and ``tree_unflatten`` are.
    flags
        What its ``tree_flatten`` is told beside ``is_leaf``.
    structure_first
        Whether ``tree_unflatten`` takes the structure before the leaves.
    """

    module: str
    flags: tuple[tuple[str, object], ...] = ()
    structure_first: bool = False

    def taken_apart(self, x: Any) -> tuple[list[Any], Any]:
        """What an object holds, one level down, and its structure."""
        module, first = sys.modules[self.module], True

        def is_leaf(_each: Any) -> bool:
            # Asked of the object itself before it is asked of what it holds, which may be the object again.
            nonlocal first
            is_first, first = first, False
            return not is_first

        children, structure = module.tree_flatten(x, is_leaf=is_leaf, **dict(self.flags))
        return list(children), structure

    def children(self, x: Any) -> list[Any]:
        """What an object holds."""
        return self.taken_apart(x)[0]

    def rebuild(self, x: Any, _old: list[Any], fresh: list[Any]) -> Any:
        """Another object like `x` that holds `fresh`."""
        module, structure = sys.modules[self.module], self.taken_apart(x)[1]
        pair = (structure, fresh) if self.structure_first else (fresh, structure)
        return module.tree_unflatten(*pair)

    def names(self, x: Any) -> list[str]:
        """How a path goes on to each child: a registry gives them numbers."""
        return [f"<{number}>" for number in range(len(self.children(x)))]

    def knows(self, x: Any) -> bool:
        """Whether an object's class is registered: what isn't is its own only leaf."""
        children = self.children(x)
        return not (len(children) == 1 and children[0] is x)


#: torch's has no public name that every supported version has; jax's takes the structure first, and None for a node in
#: both; optree takes None for a leaf only when it is told to.
REGISTRIES: Final = (
    Registry("torch.utils._pytree"),
    Registry("jax.tree_util", structure_first=True),
    Registry("optree", flags=(("none_is_leaf", True),), structure_first=True),
)


def registry_of(x: Any) -> Registry | None:
    """The registry that knows an object's class, of those that are loaded."""
    return next((each for each in REGISTRIES if each.module in sys.modules and _knows(each, x)), None)


def _knows(registry: Registry, x: Any) -> bool:
    try:
        return registry.knows(x)
    except Exception:  # noqa: BLE001 - what was registered ran, and doesn't like this object: the walk says so
        return True
