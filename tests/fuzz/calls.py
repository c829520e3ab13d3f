"""What is called: every public function, with options by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from fuzz import sources_of_numpy, texts
from fuzz.programs import Call, Source

#: Values of the options by name, the likeliest more than once; those that aren't one are refused.
_DEVICES: Final = (
    "'cpu'",
    "'cpu'",
    "'cpu'",
    "torch.device('cpu')",
    "(1, 0)",
    "interop.Device('cpu')",
    "'cuda'",
    "'cuda:0'",
)
_DTYPES: Final = (
    *(repr(name) for name in (*texts.COMMON, *texts.SMALL)),
    *(f"torch.{name}" for name in ("float32", "float64", "bfloat16", "int64", "uint8", "bool", "complex64")),
    *(f"np.dtype({name!r})" for name in ("f4", "f8", "i2", "u1", "c16")),
    *("np.float32", "float", "int", "bool", "complex", "interop.DType('float16')", "'f4'", "'int4'"),
)
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "device": _DEVICES,
    "dtype": _DTYPES,
    "order": ("'C'", "'F'", "None"),
    "copy": ("True", "False", "None"),
    "writable": ("True", "False", "None"),
    "detach": ("True", "True", "False"),
    "stream": ("None", "-1"),
}
_WRONG: Final[dict[str, tuple[str, ...]]] = {
    "device": ("'nowhere'", "5", "'cuda:-1'", "'cpu:1'"),
    "dtype": ("'float33'", "object()", "[]", "np.dtype('M8[D]')", "'U3'", "1"),
    "order": ("'K'", "1"),
    "copy": ("1", "'True'", "np.True_"),
    "writable": ("0", "[]"),
    "detach": ("None", "1"),
    "stream": ("0", "'s'", "1.5", "7"),
}


def options(random: Random) -> dict[str, str]:
    """Some options of a conversion."""
    count = random.choices((0, 1, 2, 3, 5), (4, 6, 4, 2, 1))[0]
    given = {name: random.choice(_OPTIONS[name]) for name in random.sample(list(_OPTIONS), count)}
    if random.random() < 0.03:
        name = random.choice(list(_WRONG))
        given[name] = random.choice(_WRONG[name])
    return given


def convert(random: Random, source: Source, targets: Sequence[str]) -> Call:
    """A conversion, in any of the ways that it can be written."""
    # Each of the two that are always there as often as all others together.
    target = random.choice(("numpy", "torch", random.choice(targets)))
    given = options(random)
    if source.graph and random.random() < 0.5:
        given["detach"] = "True"
    how = random.random()
    if how < 0.6:
        return Call("convert", f"interop.to_{target}", target=target, options=given)
    named = repr(target) if how < 0.9 or target not in ("numpy", "torch") else {"numpy": "np", "torch": "torch"}[target]
    return Call("convert", "interop.convert", ("x", named), target=target, options=given)


_REFERENCES: Final = {
    "numpy": ("ref = np.zeros(2)", "ref = np.zeros((), 'i4')", "ref = np.float32(1)"),
    "torch": (
        "ref = torch.zeros(2)",
        "ref = torch.nn.Parameter(torch.zeros(1))",
        "ref = torch.zeros(2, dtype=torch.bfloat16)",
    ),
}


def convert_like(random: Random, _source: Source, _targets: Sequence[str]) -> Call:
    """A conversion to what another array is."""
    target = random.choice(("numpy", "torch"))
    before = random.choice(_REFERENCES[target])
    return Call("convert_like", "interop.convert_like", ("x", "ref"), before, target, options(random))


def view(random: Random, _source: Source, _targets: Sequence[str]) -> Call:
    """A View."""
    given = {"stream": random.choice(("None", "-1", "0", "'s'"))} if random.random() < 0.1 else {}
    return Call("view", "interop.view", options=given)


def _into(random: Random, source: Source) -> str:
    """What is written into: most often of the source's shape."""
    shape = "tuple(np.shape(x))" if random.random() < 0.6 else repr(texts.shape(random))
    if source.opaque or not source.framework:
        shape = "truth.shape" if not source.opaque else "(3,)"
    name = source.dtype if random.random() < 0.3 and source.dtype in texts.COMMON else texts.dtype(random)
    of_numpy = sources_of_numpy.dtype_text(name)
    return random.choice(
        (
            f"into = np.zeros({shape}, {of_numpy})",
            f"into = np.zeros({shape}, {of_numpy}).T",
            f"into = np.zeros((2, *{shape}), {of_numpy})[1]",
            f"into = np.zeros({shape}, {of_numpy})\ninto.flags.writeable = False",
            f"into = torch.zeros({shape}, dtype=torch.{name})",
            f"into = torch.zeros((2, *{shape}), dtype=torch.{name})[1]",
            f"into = torch.zeros({shape}, dtype=torch.{name}).T if len({shape}) == 2 else torch.zeros({shape})",
            f"into = torch.zeros({shape}, requires_grad=True)",
            f"into = interop.view(np.zeros({shape}, {of_numpy}))",
            "into = bytearray(7)",
        )
    )


_OVERLAPPING: Final = (
    "into = x",
    "into, x = (x[1:], x[:-1]) if x.ndim else (x, x)",
    "into, x = (x[:-1], x[1:]) if x.ndim else (x, x)",
    "into = x.T if x.ndim == 2 and x.shape[0] == x.shape[1] else x",
)


def copyto(random: Random, source: Source, _targets: Sequence[str]) -> Call:
    """Writing into memory that is there."""
    casting = random.choice(("", "", "unsafe", "unsafe", "safe", "same_kind", "equiv", "no", "wrong"))
    given = {"casting": repr(casting)} if casting else {}
    # Now and then over itself, or a part of it.
    if (
        random.random() < 0.1
        and source.framework in ("numpy", "torch")
        and source.placed
        and not (source.opaque or source.encoded)
    ):
        before = random.choice(_OVERLAPPING)
        return Call("copyto", "interop.copyto", ("into", "x"), before, options=given, writes=True)
    return Call("copyto", "interop.copyto", ("into", "x"), _into(random, source), options=given)


_OTHERS: Final = ("other = x", "other = x[...]", "other = x[..., :1] if x.ndim else x", "other = np.zeros(3)")


def shares_memory(random: Random, source: Source, _targets: Sequence[str]) -> Call:
    """Whether two have memory in common."""
    sliced = source.framework in ("numpy", "torch") and source.placed and not (source.opaque or source.encoded)
    other = random.choice(_OTHERS if sliced else (_OTHERS[0], _OTHERS[3]))
    return Call("shares_memory", "interop.shares_memory", ("x", "other"), other)


def asked(random: Random, _source: Source, _targets: Sequence[str]) -> Call:
    """A question about one array."""
    what = random.choice(("framework", "device", "dtype"))
    return Call(what, f"interop.{what}")


def empty_aligned(random: Random, _source: Source, _targets: Sequence[str]) -> Call:
    """Memory for everyone; it takes no source."""
    shape = random.choice((repr(texts.shape(random)), "3", "np.int64(2)", "(-1,)", "'ab'", "(2**62, 4)", "1.5"))
    given: dict[str, str] = {}
    if random.random() < 0.4:
        given["order"] = random.choice(("'C'", "'F'", "'K'"))
    if random.random() < 0.4:
        given["alignment"] = random.choice(("4096", "1", "3", "'64'"))
    return Call("empty_aligned", "interop.empty_aligned", (shape, random.choice(_DTYPES)), options=given)


CALLS: Final[tuple[tuple[int, Callable[[Random, Source, Sequence[str]], Call]], ...]] = (
    (60, convert),
    (5, convert_like),
    (12, view),
    (12, copyto),
    (4, shares_memory),
    (4, asked),
    (1, empty_aligned),
)
