"""Classes that programs use: what speaks a protocol and nothing else, and subclasses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


class Interface:
    """What is known by its ``__array_interface__`` alone."""

    def __init__(self, a: Any) -> None:
        self.a = a

    @property
    def __array_interface__(self) -> Any:
        return self.a.__array_interface__


class DLPack:
    """What is known by its ``__dlpack__`` alone, with all that the protocol has."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.a.__dlpack_device__()


class OldDLPack:
    """The same as libraries spoke it first: no version, no options, no readonly."""

    def __init__(self, a: Any) -> None:
        self.a = a

    def __dlpack__(self, *, stream: Any = None) -> Any:
        return self.a.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.a.__dlpack_device__()


class Both:
    """What speaks two protocols, of different memory with the same values."""

    def __init__(self, a: Any) -> None:
        self.a = a
        self.b = a.copy()

    def __dlpack__(self, **options: Any) -> Any:
        return self.a.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.a.__dlpack_device__()

    @property
    def __array_interface__(self) -> Any:
        return self.b.__array_interface__


class Raising:
    """What raises where it is looked at."""

    def __dlpack__(self, **_: Any) -> Any:
        msg = "no"
        raise KeyError(msg)

    def __dlpack_device__(self) -> Any:
        return (1, 0)


class RaisingInterface:
    """The same, of an interface."""

    @property
    def __array_interface__(self) -> Any:
        msg = "no"
        raise RuntimeError(msg)


class Arrayed:
    """What has ``__array__`` alone, which says nothing of memory."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        return np.ones(3)


class Annotated(np.ndarray[Any, Any]):
    """A subclass of numpy's arrays that may mean more: it is told of every array that is made of it."""

    def __array_finalize__(self, obj: Any) -> None:
        """Nothing has to be done."""


class Labelled(torch.Tensor):
    """A subclass of torch's tensors that does nothing else."""


class Wrapped(torch.Tensor):
    """A subclass that overrides what every operation does."""

    @staticmethod
    def __new__(cls: Any, x: Any) -> Any:
        return torch.Tensor._make_wrapper_subclass(cls, x.shape, dtype=x.dtype)

    @classmethod
    def __torch_dispatch__(cls, *_: Any, **__: Any) -> Any:
        return NotImplemented
