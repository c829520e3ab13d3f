"""What a function of torch would do, seen without a call: on tensors without values, with an eye on what it writes.

jax may call a function any number of times, from any thread, and calls it again for the gradient; and what the function
gets is jax's own immutable memory. So a write into an argument, or into a tensor that the function closes over, is
refused before it happens; and so are random numbers where the gradient would be of others.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from interop._adapters._torch_facts import BY_OUR_NAME, DTYPES
from interop._agnostic._bridge._jax_function import Like, numpy_type
from interop.errors import DTypeError, ReadOnlyError, UnsupportedError

if TYPE_CHECKING:
    from interop._agnostic._bridge._structure import Structure

#: The libraries of operators that torch differentiates in forward mode, or refuses to. A custom operator's tangents are
#: zeros, and nobody says so.
_OWN: Final = frozenset({"aten", "prim", "prims"})

#: Running averages, which the operator writes into where it trains, though its schema doesn't say so.
_AVERAGES: Final = ("running_mean", "running_var")

#: What arguments of operators are called that say whether they train, and how much dropout drops.
_TRAINING: Final = ("training", "train", "use_input_stats")
_SHARES: Final = ("dropout_p", "dropout", "p")


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a call would give, and what it would do."""

    outs: tuple[Like, ...]
    around: Structure | None
    #: Whether it draws random numbers.
    random: bool
    #: The operators that aren't torch's own.
    foreign: frozenset[str]
    #: The modules that it calls, and whether they were training.
    modes: tuple[tuple[Callable[[], torch.nn.Module | None], bool], ...]

    @property
    def is_stale(self) -> bool:
        """Whether a module has been switched between training and evaluation since."""
        for module, training in self.modes:
            found = module()
            if found is not None and found.training != training:
                return True
        return False


def foresee(
    name: str,
    function: Callable[[Sequence[torch.Tensor]], tuple[list[torch.Tensor], Structure | None]],
    likes: tuple[Like, ...],
) -> Foreseen:
    """Call a function with tensors that have no values, which runs no kernel and changes nothing.

    Raises
    ------
    ReadOnlyError
        It would write into an argument.
    UnsupportedError
        It would write into a tensor that it closes over, or what it does depends on values.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # It is kept for the process, by the values of numbers too, and never emptied.
    mode.cache_enabled = False
    with mode, torch.no_grad():
        given = [torch.empty(each.shape, dtype=torch_type(name, each.dtype.name)) for each in likes]
        watch, modes = _Watch(name, given), _Modes()
        try:
            with modes, watch:
                results, around = function(given)
        except (DataDependentOutputException, DynamicOutputShapeException) as err:
            raise _depends_on_values(name, err) from err
        except RuntimeError as err:
            if "numpy() is not supported for tensor subclasses" in str(err):
                raise _depends_on_values(name, err) from err
            err.add_note(f"raised while interop looked at {name}() on tensors without values, torch's FakeTensorMode")
            raise
        outs = tuple([Like(tuple(x.shape), numpy_type(DTYPES[x.dtype])) for x in results])
    return Foreseen(outs, around, watch.random, frozenset(watch.foreign), tuple(modes.found))


def torch_type(name: str, dtype: str) -> torch.dtype:
    """The element type of torch's of our name."""
    found: torch.dtype | None = BY_OUR_NAME.get(dtype)
    if found is None:
        msg = f"{name}() got a jax array of {dtype}, which torch doesn't have. Pass x.astype('float32')."
        raise DTypeError(msg)
    return found


def _depends_on_values(name: str, err: Exception) -> UnsupportedError:
    return UnsupportedError(
        f"{name}() looks at values ({err}), as .item(), .numpy(), an if on a tensor and x[x > 0] do: then shapes of "
        "results can't be known without a call. Use operations of torch, such as torch.where, or pass grad='cut' and "
        "call it outside of jax's transformations."
    )


class _Watch(TorchDispatchMode):
    """Sees each operator before it runs."""

    def __init__(self, name: str, given: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives the constructor no types
        self.name, self.random = name, False
        self.foreign: set[str] = set()
        self._arguments = {_memory(x) for x in given}
        # Views of tensors that the function closes over; held, so that no other gets their number.
        self._outside: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = _by_name(func, args, kwargs)
        for x in _written(func, given):
            self._refuse_write(func, x)
        self.random = self.random or _draws(func, given)
        if func.namespace not in _OWN:
            self.foreign.add(str(func))
        result = func(*args, **kwargs)
        if _aliases(func) and any(type(x) is not FakeTensor and isinstance(x, torch.Tensor) for x in args):
            for x in result if isinstance(result, (tuple, list)) else (result,):
                self._outside[_memory(x)] = x
        return result

    def _refuse_write(self, func: Any, x: torch.Tensor) -> None:
        if isinstance(x, FakeTensor) and _memory(x) in self._arguments:
            msg = (
                f"{self.name}() writes into an argument ({func}), and arrays of jax never change. Clone it there: "
                "x = x.clone()."
            )
            raise ReadOnlyError(msg)
        if not isinstance(x, FakeTensor) or _memory(x) in self._outside:
            msg = (
                f"{self.name}() writes into a tensor that it closes over ({func}), as modules with buffers do while "
                "they train: jax calls it any number of times, and again for the gradient. Call model.eval(), or pass "
                "the buffers as arguments, clone them there for torch.func.functional_call, and return them."
            )
            raise UnsupportedError(msg)


class _Modes:
    """Sees the modules that this thread calls."""

    def __init__(self) -> None:
        self.found: list[tuple[Callable[[], torch.nn.Module | None], bool]] = []
        self._thread = threading.get_ident()

    def __enter__(self) -> None:
        self._handle: Any = register_module_forward_pre_hook(self._see)

    def __exit__(self, *_: object) -> None:
        self._handle.remove()

    def _see(self, module: torch.nn.Module, _: Any) -> None:
        if threading.get_ident() == self._thread:
            self.found.append((weakref.ref(module), module.training))


def _memory(x: Any) -> int:
    number: int = x.untyped_storage()._cdata  # noqa: SLF001 - nothing public tells storages apart
    return number


def schema_of(func: Any) -> Any:
    """The schema of an operator."""
    return func._schema  # noqa: SLF001 - nothing public tells what an operator writes


def _aliases(func: Any) -> bool:
    """Whether a result is a view of an argument; a constant that is lifted into the graph is the function's own."""
    return func.name() != "aten::lift_fresh" and any(each.alias_info is not None for each in schema_of(func).returns)


def _by_name(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an operator, with its defaults."""
    arguments = schema_of(func).arguments
    rest = {each.name: kwargs.get(each.name, each.default_value) for each in arguments[len(args) :]}
    return dict(zip([each.name for each in arguments], args, strict=False)) | rest


def _draws(func: Any, given: dict[str, Any]) -> bool:
    """Whether an operator draws random numbers now: dropout of nothing doesn't, and not where nothing is trained."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    return not (any(given.get(each) == 0 for each in _SHARES) or any(given.get(each) is False for each in _TRAINING))


def _written(func: Any, given: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors that an operator is about to write into."""
    arguments = schema_of(func).arguments
    names = [each.name for each in arguments if each.alias_info is not None and each.alias_info.is_write]
    if not names and any(given.get(each) for each in _TRAINING):
        names = [name for name in _AVERAGES if name in given]
    found: list[torch.Tensor] = []
    for name in names:
        x = given[name]
        found.extend(each for each in (x if isinstance(x, (tuple, list)) else (x,)) if isinstance(each, torch.Tensor))
    return found
