"""What each rank does in the tests of MPI: ``mpiexec -n 2 python -m mpi4py ranks.py``. Rank 0 prints what was wrong."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import torch
from mpi4py import MPI

import interop
from interop.integrations import mpi

comm = MPI.COMM_WORLD
wrong: list[str] = []


def check(name: str, got: Any, expected: Any) -> None:
    if not np.array_equal(np.asarray(got, "c8"), np.asarray(expected, "c8")):
        wrong.append(f"rank {comm.rank}: {name}: {got} is not {expected}")


def reduced(dtype: Any, op: Any, make: Any, values: list[float]) -> Any:
    """The same reduction everywhere: rank 0 has `values`, rank 1 has their double."""
    x = make(np.asarray(values, "f4") * (comm.rank + 1), dtype)
    out = make(np.zeros(len(values), "f4"), dtype)
    comm.Allreduce(mpi.message(x), mpi.message(out, receive=True), op=op)
    return interop.to_numpy(out, dtype="complex64" if "complex" in str(dtype) else "float32")


def of_torch(x: Any, dtype: str) -> Any:
    return torch.from_numpy(x).to(getattr(torch, dtype))


def of_numpy(x: Any, dtype: str) -> Any:
    return x.astype(getattr(ml_dtypes, dtype, dtype))


def reductions() -> None:
    values = [1.0, 0.5, 2.0, 4.0]
    expected = {"SUM": 3 * np.array(values), "PROD": 2 * np.square(values), "MIN": values, "MAX": 2 * np.array(values)}
    for make, dtypes in (
        (of_torch, ["float32", "float64", "float16", "bfloat16", "complex64"]),
        (of_numpy, ["float32", "bfloat16", "float16", "complex128"]),
    ):
        for dtype in dtypes:
            for name, result in expected.items():
                if "complex" not in dtype or name in ("SUM", "PROD"):
                    check(f"{make.__name__} {dtype} {name}", reduced(dtype, getattr(mpi, name), make, values), result)
    for dtype in ("int8", "uint8", "int64", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu", "int4", "float4_e2m1fn"):
        check(f"{dtype} MAX", reduced(dtype, mpi.MAX, of_numpy, [1.0, 2.0]), [2, 4])
        check(f"{dtype} PROD", reduced(dtype, mpi.PROD, of_numpy, [1.0, 1.0]), [2, 2])
    # What overflows says so to nobody: a warning that is an error would end the process inside of MPI.
    check("overflow", reduced("bfloat16", mpi.PROD, of_numpy, [1e30])[0] == np.inf, True)
    truth = torch.tensor([True, True, False, False]) if comm.rank == 0 else torch.tensor([True, False, True, False])
    for name, result in (("SUM", [1, 1, 1, 0]), ("PROD", [1, 0, 0, 0]), ("MIN", [1, 0, 0, 0]), ("MAX", [1, 1, 1, 0])):
        out = torch.zeros(4, dtype=torch.bool)
        comm.Allreduce(mpi.message(truth), mpi.message(out, receive=True), op=getattr(mpi, name))
        check(f"bool {name}", out.tolist(), result)


def messages() -> None:
    root = comm.rank == 0
    neg = torch._neg_view(torch.ones(3)) if root else torch.zeros(3)
    comm.Bcast(mpi.message(neg, receive=not root), root=0)
    check("negative bit", neg.tolist(), [-1, -1, -1])
    conj = torch.tensor([1 + 2j]).conj() if root else torch.zeros(1, dtype=torch.complex64)
    comm.Bcast(mpi.message(conj, receive=not root), root=0)
    check("conjugate", conj.tolist(), [1 - 2j])
    for dtype in (torch.bfloat16, torch.float8_e5m2, torch.bool, torch.int16):
        t = torch.arange(6).reshape(2, 3).to(dtype)
        if root:
            comm.Send(mpi.message(t.T), 1)
            continue
        got = torch.zeros(3, 2, dtype=dtype)
        comm.Recv(mpi.message(got, receive=True), 0)
        check(f"{dtype} transposed", got.float().tolist(), t.T.float().tolist())
    big = np.ones(1 << 20, ml_dtypes.bfloat16)
    out = np.empty_like(big)
    comm.Allreduce(mpi.message(big), mpi.message(out, receive=True), op=mpi.SUM)
    check("in pieces", out.astype("f4").min(), 2)
    check("in pieces", out.astype("f4").max(), 2)


def figures() -> None:
    """How bfloat16 compares with float16, for which this MPI has operations of its own."""
    if MPI.FLOAT16_T == MPI.DATATYPE_NULL:
        return
    best = {"bfloat16": 1e9, "float16": 1e9}
    pairs = {name: (of_numpy(np.ones(1 << 20, "f4"), name), of_numpy(np.ones(1 << 20, "f4"), name)) for name in best}
    for _ in range(10):
        for name, (x, out) in pairs.items():
            comm.Barrier()
            start = MPI.Wtime()
            if name == "float16":
                comm.Allreduce(
                    [x.view("u1"), x.size, MPI.FLOAT16_T], [out.view("u1"), x.size, MPI.FLOAT16_T], op=MPI.SUM
                )
            else:
                comm.Allreduce(mpi.message(x), mpi.message(out, receive=True), op=mpi.SUM)
            best[name] = min(best[name], MPI.Wtime() - start)
    if comm.rank == 0:
        print(f"bfloat16 Allreduce: {best['bfloat16'] / best['float16']:.2f} of float16's")


if __name__ == "__main__":
    warnings.simplefilter("error")
    reductions()
    messages()
    figures()
    found = comm.gather(wrong)
    if comm.rank == 0 and any(found or []):
        print(found)
        sys.exit(1)
