"""Sources of torch: every element type in every layout, graphs and pending bits, and what only looks like a tensor."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from fuzz import texts
from fuzz.programs import Source

DTYPES: Final = (*texts.COMMON, *texts.SMALL, "complex32")


def values(random: Random, name: str, shape: texts.Shape) -> str:
    """Statements that make `t`, a tensor in C order: numbers that count, or any bits."""
    count = texts.size(shape)
    if name == "complex32":
        return (
            f"t = torch.arange({2 * count}).to(torch.float16).view({(*shape, 2)}).view(torch.complex32).view({shape})"
        )
    if random.random() < 0.5 or not count:
        most = 2 if name == "bool" else 16
        return f"t = (torch.arange({count}) % {most}).float().to(torch.{name}).view({shape})"
    return f"t = torch.from_numpy({texts.bits(random, name, count)}).view(torch.{name}).view({shape})"


#: What makes `x` of `t`, by name, with the fewest axes that it needs.
LAYOUTS: Final[dict[str, tuple[int, str]]] = {
    "c": (0, "x = t"),
    "transposed": (0, "x = t.permute(tuple(range(t.ndim))[::-1])"),
    "moved": (2, "x = t.movedim(0, -1)"),
    "stepped": (1, "x = t[::2]"),
    "stepped inside": (1, "x = t[..., ::3]"),
    "from the middle": (1, "x = t[len(t) // 2:]"),
    "one of them": (1, "x = t[len(t) - 1] if len(t) else t"),
    "expanded": (0, "x = t.expand((2, *t.shape))"),
    "overlapping": (1, "x = t.as_strided((2, *t.shape[:-1], max(t.shape[-1] - 1, 0)), (t.stride(-1), *t.stride()))"),
    "axes of length 1": (0, "x = t.as_strided((1, *t.shape, 1), (999, *t.stride(), 77))"),
    "unfolded": (1, "x = t.unfold(0, min(2, len(t)), 1)"),
    "channels last": (4, "x = t.contiguous(memory_format=torch.channels_last)"),
    "cloned": (0, "x = t.clone()"),
    "on numpy's memory": (0, "x = torch.from_numpy(np.arange(6.0))[1:]"),
    "an ndarray's": (0, "x = interop.to_torch(np.arange(6.0).reshape(2, 3).T)"),
    "a view's": (0, "x = interop.to_torch(interop.view(bytearray(range(7))))[1:]"),
    "locked": (0, "x = t.clone()\nheld = x.reshape(-1).view(torch.uint8).numpy() if x.numel() else None"),
    "a result of a view": (0, "x = t.clone()\nheld = interop.view(x)"),
    "grown": (0, "x = t.clone()\nx.resize_((2, *x.shape)).zero_()"),
    "smaller than its storage": (0, "x = torch.empty(100, dtype=t.dtype).resize_(t.shape).copy_(t)"),
    "in another's storage": (0, "x = torch.empty(0, dtype=t.dtype).set_(t)"),
    "detached": (0, "x = t.detach()"),
    "a tied alias": (0, "y = t\nx = t.view(t.shape)"),
    "in inference mode": (0, "with torch.inference_mode():\n    x = t.clone()"),
    "of inference mode, viewed": (0, "with torch.inference_mode():\n    x = t.view(t.shape)"),
    "a buffer": (0, "x = torch.nn.Buffer(t)"),
    "a parameter": (0, "x = torch.nn.Parameter(t, requires_grad=False)"),
    "with data replaced": (0, "x = torch.empty(0)\nx.data = t"),
}

#: The same for tensors of complex numbers and of real ones, whose memory isn't their values.
COMPLEX: Final = {
    "conjugate": (0, "x = t.conj()"),
    "conjugate, transposed": (2, "x = t.mT.conj()"),
    "twice conjugate": (0, "x = t.conj().conj()"),
    "a conjugate's imaginary part": (0, "x = t.conj().imag"),
    "a conjugate's real part": (0, "x = t.conj().real"),
    "conjugate and negative": (0, "x = torch._neg_view(t).conj()"),
    "conjugate with a graph": (0, "x = t.clone().requires_grad_().conj()"),
}
REAL: Final = {
    "negative": (0, "x = torch._neg_view(t)"),
    "negative, stepped": (1, "x = torch._neg_view(t)[::2]"),
    "requires grad": (0, "x = t.clone().requires_grad_()"),
    "a result with a graph": (0, "x = t.clone().requires_grad_() * 2"),
    "a view with a graph": (1, "x = (t.clone().requires_grad_() * 1)[::2]"),
    "a trained parameter": (0, "x = torch.nn.Parameter(t.clone())"),
    "negative with a graph": (0, "x = torch._neg_view(t.clone().requires_grad_())"),
}
_DIFFERENTIABLE: Final = ("float16", "float32", "float64", "bfloat16")

OPAQUE: Final = {
    "sparse": "x = torch.eye(3).to_sparse()",
    "sparse by rows": "x = torch.eye(3).to_sparse_csr()",
    "mkldnn": "x = torch.ones(2, 3).to_mkldnn()",
    "meta": "x = torch.empty((2, 3), device='meta')",
    "fake": "with FakeTensorMode():\n    x = torch.ones(2, 3)",
    "nested": "x = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])",
    "jagged": "x = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)",
    "uninitialised": "x = torch.nn.parameter.UninitializedParameter()",
    "uninitialised buffer": "x = torch.nn.parameter.UninitializedBuffer()",
    "a subclass with a dispatch": "x = Wrapped(torch.ones(3))",
    **{
        name: f"x = torch.zeros(4, dtype=torch.uint8).view(torch.{name})"
        for name in ("int4", "uint4", "int2", "uint2", "uint1", "int1", "bits8", "float4_e2m1fn_x2")
    },
}

#: Packed by its own framework, which alone can decode it; it is read decoded.
QUANTIZED: Final = {
    "quint8": "x = torch.quantize_per_tensor(torch.arange(6.0), 0.5, 3, torch.quint8)\ntruth = x.dequantize()",
    "qint8": "x = torch.quantize_per_tensor(torch.arange(6.0), 0.5, 3, torch.qint8)\ntruth = x.dequantize()",
    "qint32": "x = torch.quantize_per_tensor(torch.arange(6.0), 0.5, 3, torch.qint32)\ntruth = x.dequantize()",
    "by channel": (
        "scales = torch.tensor([0.5, 0.25])\n"
        "x = torch.quantize_per_channel(torch.arange(6.0).view(2, 3), scales, torch.zeros(2), 0, torch.qint8)\n"
        "truth = x.dequantize()"
    ),
}


def tensor(random: Random) -> Source:
    """A tensor whose memory is its values."""
    layout, (least, text) = random.choice(list(LAYOUTS.items()))
    name = random.choice(("complex32",)) if random.random() < 0.03 else texts.dtype(random)
    made = f"{values(random, name, texts.shape(random, least=least))}\n{text}"
    name = {"on numpy's memory": "float64", "an ndarray's": "float64", "a view's": "uint8"}.get(layout, name)
    if layout == "channels last":
        made = f"{values(random, name, (2, 3, 2, 2))}\n{text}"
    return Source(made, f"torch, {layout}", "torch", dtype=name, plain=name in texts.COMMON)


def pending(random: Random) -> Source:
    """A tensor with a bit that its memory doesn't show, or with a graph."""
    if random.random() < 0.5:
        layout, (least, text) = random.choice(list(COMPLEX.items()))
        name = random.choice(("complex64", "complex128"))
    else:
        layout, (least, text) = random.choice(list(REAL.items()))
        name = random.choice(_DIFFERENTIABLE)
    graph = "grad" in text or "Parameter" in text
    part = "imag" in layout or "real" in layout
    dtype = name if not part else {"complex64": "float32", "complex128": "float64"}[name]
    made = f"{values(random, name, texts.shape(random, least=least))}\n{text}"
    # torch's loops for many elements at once get the zeros wrong where both bits are set, and those for few don't.
    signless = layout == "conjugate and negative"
    plain = name in texts.COMMON
    return Source(made, f"torch, {layout}", "torch", dtype=dtype, plain=plain, graph=graph, signless=signless)


def subclass(random: Random) -> Source:
    """A subclass that does nothing else."""
    name = texts.dtype(random)
    made = f"{values(random, name, texts.shape(random))}\nx = t.as_subclass(Labelled)"
    return Source(made, "torch, a subclass", "torch", dtype=name, plain=name in texts.COMMON)


def quantized(random: Random) -> Source:
    """A quantized tensor."""
    name, text = random.choice(list(QUANTIZED.items()))
    return Source(text, f"torch, {name}", "torch", dtype="float32", encoded=True)


def zero(random: Random) -> Source:
    """A tensor of zeros that has no memory."""
    shape = texts.shape(random)
    return Source(
        f"x = torch._efficientzerotensor({shape})\ntruth = torch.zeros({shape})",
        "torch, a zero tensor",
        "torch",
        dtype="float32",
    )


def opaque(random: Random) -> Source:
    """What has no values, or not in one block."""
    name, text = random.choice(list(OPAQUE.items()))
    return Source(text, f"torch, {name}", "torch", opaque=True)


SOURCES: Final[tuple[tuple[int, Callable[[Random], Source]], ...]] = (
    (30, tensor),
    (8, pending),
    (2, subclass),
    (1, quantized),
    (1, zero),
    (4, opaque),
)
