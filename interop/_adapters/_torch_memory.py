"""torch's storages: what keeps a tensor's memory, where it lies, and what is wrong where a tensor reaches beyond it.

A tensor's address says nothing by itself. torch refuses a ``resize_`` only after it has written the new shape into the
tensor (pytorch#170298); a storage can be made smaller, or freed, under its tensors, as sharded training does; and a
slice of memory that is NULL is NULL and the slice's offset, which looks like an address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from interop._devices import METAL
from interop._native import Keeper

if TYPE_CHECKING:
    from interop._contract import Facts

# Where the method is defined: bound through it, no look-up is paid per call.
_Base: Any = torch.Tensor.__base__

_C: Final[Any] = vars(torch)["_C"]
_Keys: Final[Any] = _C.DispatchKey
_guard: Final[Any] = _C._ExcludeDispatchKeyGuard  # noqa: SLF001 - nothing public turns off what transforms hook into
_no_function_modes: Final[Any] = _C.DisableTorchFunction


def _keys(*names: str) -> Any:
    found = _C.DispatchKeySet(_Keys.Python)
    for name in names:
        found = found.add(getattr(_Keys, name))
    return found


#: What modes and transformed functions hook into.
_MODES: Final = _keys(
    "PythonTLSSnapshot", "Functionalize", "FuncTorchDynamicLayerFrontMode", "FuncTorchDynamicLayerBackMode"
)


def lock_storage(storage: Any) -> None:
    """Make a storage refuse ``resize_``, which would free the memory under a View; ``numpy()`` is what locks it.

    A fake mode, a mode that counts, or a transformed function would make something else of the calls, and they are of
    no concern to them; nothing public leaves those aside.
    """
    with _guard(_MODES), _no_function_modes():
        # The device said: torch.set_default_device can make it another one.
        torch.empty(0, dtype=torch.uint8, device="cpu").set_(storage).numpy()


#: What keeps the memory of tensors: the storage, since ``t.data = other`` gives the tensor another one.
KEEPER: Final = Keeper(
    owner=_Base.untyped_storage,
    start=torch.UntypedStorage.data_ptr,
    size=torch.UntypedStorage.nbytes,
    movable=torch.UntypedStorage.resizable,
    lock=lock_storage,
)


def is_inside(facts: Facts, storage: Any) -> bool:
    """Whether a tensor lies in its storage, as of now; Metal's pointers are no addresses."""
    if 0 in facts.shape or facts.extent is None or facts.device.type_code == METAL:
        return True
    start, end = _reach(storage)
    return bool(start) and start <= facts.extent[0] and facts.extent[1] <= end


def _reach(storage: Any) -> tuple[int, int]:
    try:
        start = storage.data_ptr()
    except RuntimeError:  # of zero, fake and functional tensors: what torch says there is no address of
        return (0, storage.nbytes())
    return (start, start + storage.nbytes())


def outside_text(facts: Facts, storage: Any) -> str:
    """Say why a tensor doesn't lie in its storage, and what to pass instead."""
    what = f"a torch tensor, {facts.dtype} {facts.shape} on {facts.device}"
    start, end = _reach(storage)
    if end == start:
        return (
            f"{what}, has no memory: its storage was freed (untyped_storage().resize_(0)), as sharded training does "
            "between uses. Gather its values first, as FSDP's summon_full_params does: to resize the storage again "
            "gives back memory, and not the values."
        )
    if start == 0 or facts.extent is None or facts.ptr is None:
        return (
            f"{what}, has a null pointer (a fake tensor, or a zero tensor that was never filled). "
            "Pass torch.zeros_like(x) for a zero tensor; leave the fake mode for a fake one."
        )
    there = (end - facts.ptr) // facts.dtype.itemsize
    fix = f"x.as_strided(({there},), (1,)) has the elements that are there." if there > 0 else "Nothing of it is there."
    return (
        f"{what}, reaches {facts.extent[1] - end:,} bytes beyond its storage of {end - start:,}: a resize_ that torch "
        f"refused has left its shape behind (pytorch#170298), or the storage was made smaller. {fix}"
    )
