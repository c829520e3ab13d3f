"""The ways in which a cell is handed over: ours, and what people write by hand for each target."""

from __future__ import annotations

import importlib
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Way:
    """One call on a tensor ``x``: its code, which is also its name, and the options where it is ours."""

    code: str
    ours: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def compiled(self, to: str, names: Mapping[str, Any]) -> Callable[[Any], Any]:
        """Return the call as a function."""
        if self.ours:
            import interop

            options = dict(self.options)
            return lambda x: interop.convert(x, to, **options)
        call: Callable[[Any], Any] = eval(f"lambda x: {self.code}", dict(names))  # noqa: S307 - code of the table below
        return call


def _ours(**options: Any) -> Way:
    named = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return Way(f"interop {named}" if named else "interop", ours=True, options=tuple(options.items()))


#: Our calls, the first of which is the one that is compared: nothing asked for; a view or an error; a view by the
#: promise not to write; fresh memory.
OURS: Final = (
    _ours(),
    _ours(copy=False),
    _ours(copy=False, writable=False),
    _ours(copy=True),
)
DEFAULT, VIEW, PROMISE, COPY = OURS

#: What people write by hand to have an array of each kind.
BY_HAND: Final[Mapping[str, tuple[str, ...]]] = {
    "numpy": ("np.asarray(x)", "np.from_dlpack(x)"),
    "torch": ("torch.from_dlpack(x)", "torch.asarray(x)", "torch.as_tensor(x)", "torch.from_numpy(x)"),
    "jax": ("jax.dlpack.from_dlpack(x)", "jnp.asarray(x)"),
    # It takes a capsule only.
    "tensorflow": ("tf.experimental.dlpack.from_dlpack(x.__dlpack__())", "tf.convert_to_tensor(x)"),
    "paddle": ("paddle.from_dlpack(x)", "paddle.to_tensor(x)"),
    "mlx": ("mx.from_dlpack(x)", "mx.array(x)"),
    "pyarrow": ("pa.array(x)", "pa.Array.from_dlpack(x)", "pa.Tensor.from_dlpack(x)", "pa.Tensor.from_numpy(x)"),
    "tvm_ffi": ("tvm_ffi.from_dlpack(x)",),
    "warp": ("wp.from_dlpack(x)", "wp.array(x)"),
    "dpnp": ("dpnp.from_dlpack(x)", "dpnp.asarray(x)"),
    "array_api_strict": ("xs.from_dlpack(x)", "xs.asarray(x)"),
}

_MODULES: Final = {
    "np": "numpy",
    "torch": "torch",
    "jax": "jax",
    "jnp": "jax.numpy",
    "tf": "tensorflow",
    "paddle": "paddle",
    "mx": "mlx.core",
    "pa": "pyarrow",
    "tvm_ffi": "tvm_ffi",
    "wp": "warp",
    "dpnp": "dpnp",
    "xs": "array_api_strict",
}


def names_for(target: str) -> dict[str, Any]:
    """What the calls by hand for a target refer to; imports no more than they need."""
    used = " ".join(BY_HAND[target])
    wanted = {short for short in _MODULES if f"{short}." in used}
    names: dict[str, types.ModuleType] = {short: importlib.import_module(_MODULES[short]) for short in wanted}
    if "jax" in names:
        importlib.import_module("jax.dlpack")
    return dict(names)


def ways_for(target: str, device: str | None = None) -> tuple[Way, ...]:
    """Every way to one target, ours first, so that a crash among them is ours; a move names its device."""
    moved = () if device is None else (("device", device),)
    ours = tuple(Way(way.code, ours=True, options=(*way.options, *moved)) for way in OURS)
    return (*ours, *(Way(code) for code in BY_HAND[target]))
