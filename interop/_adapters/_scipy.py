"""scipy's sparse arrays: no one block of memory, so refused with what makes one."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import scipy.sparse as sp

from interop._adapters._shared.wrappers import Wrapper
from interop.errors import UnsupportedError


def _claims(tp: type) -> bool:
    return issubclass(tp, (sp.sparray, sp.spmatrix))


def refuse(x: Any) -> NoReturn:
    """Name the call that makes a dense array, and the parts that are dense already."""
    parts = "x.data, x.indices and x.indptr" if x.format in ("bsr", "csc", "csr") else "x.data"
    msg = (
        f"a scipy.sparse {type(x).__name__} {x.shape} is not one block of memory. Pass x.toarray(), or what it is made "
        f"of: {parts if x.format not in ('dok', 'lil') else 'x.tocoo().data'}."
    )
    raise UnsupportedError(msg)


adapter: Final = Wrapper("scipy", ("scipy.sparse",), _claims, refuse)
