"""When several errors apply, the first of errors.PRECEDENCE is raised; what its message says leads to the next one."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, count, permutations, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import torch
from toys import EVERYTHING, ToyFramework, registered

import interop
from interop import errors
from interop._plan import refusals
from interop._streams import Stream
from interop.protocols import Limits

if TYPE_CHECKING:
    from interop._contract import Pending

FLOATS: Final = frozenset({"float32", "float64", "complex64", "uint8", "int64"})

_names = count()


@dataclass(frozen=True)
class Flaw:
    """One thing that stands against a conversion.

    Parameters
    ----------
    raises
        The error that says so.
    source
        What is peculiar of the source: "array" makes its memory, the rest are facts.
    limits, source_limits
        Of the target's framework, and the source's.
    devices
        The DLPack device types that the target can live on, beside the host.
    options
        What is asked for.
    mends
        What takes it away, as the message says: options, a fact, or an "array" made of the one that was passed.
    """

    raises: type[interop.InteropError]
    source: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    source_limits: Mapping[str, Any] = field(default_factory=dict)
    devices: frozenset[int] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    mends: Mapping[str, Any] = field(default_factory=dict)


def of(array: Callable[[], np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {"array": array}


def pending(what: Pending) -> dict[str, Any]:
    return {"pending": frozenset({what})}


def readonly() -> np.ndarray[Any, Any]:
    array = np.ones((2, 3), "f4")
    array.flags.writeable = False
    return array


def odd() -> np.ndarray[Any, Any]:
    return np.zeros(25, "u1")[1:].view("f4").reshape(2, 3)


#: The order that is documented.
U, G, D, T, R, C = ORDER = (
    interop.UnsupportedError,
    interop.GradientError,
    interop.DeviceError,
    interop.DTypeError,
    interop.ReadOnlyError,
    interop.CopyError,
)
ON_CUDA: Final = {"device": interop.Device("cuda:1")}

#: Every way to be refused that a table can hold, by what stands against it.
FLAWS: Final[dict[str, Flaw]] = {
    "too many dimensions": Flaw(U, limits={"max_ndim": 1}, mends={"array": lambda a: a.reshape(6)}),
    "too few dimensions": Flaw(U, limits={"min_ndim": 3}, mends={"array": lambda a: a.reshape(1, 2, 3)}),
    "no such order": Flaw(U, limits={"strides": "c"}, options={"order": "F"}, mends={"order": None}),
    "a tracer": Flaw(U, source={"traced": "it is traced. Return it first."}, mends={"traced": ""}),
    "requires grad": Flaw(G, source={"grad": "reverse"}, mends={"detach": True}),
    "carries a tangent": Flaw(G, source={"grad": "forward"}, mends={"detach": True}),
    "on a device that the target lacks": Flaw(D, source=ON_CUDA, mends={"device": interop.Device("cpu")}),
    "a device that the target lacks": Flaw(D, options={"device": "cuda:1"}, mends={"device": None}),
    "a device beyond the last": Flaw(D, limits={"devices": 1}, options={"device": "cpu:1"}, mends={"device": None}),
    "a stream of another device": Flaw(
        D,
        source=ON_CUDA,
        devices=frozenset({2}),
        options={"stream": Stream(0x5000, interop.Device("cuda:0"))},
        mends={"stream": None},
    ),
    "the stream of each thread": Flaw(
        D,
        source=ON_CUDA,
        limits={"per_thread_stream": False},
        devices=frozenset({2}),
        options={"stream": 2},
        mends={"stream": 1},
    ),
    "a capsule that nobody ordered": Flaw(
        D, source={**ON_CUDA, "orderable": False}, devices=frozenset({2}), mends={"stream": -1}
    ),
    "no such element type": Flaw(T, limits={"dtypes": FLOATS - {"float32"}}, mends={"dtype": "float64"}),
    "a cast that drops the imaginary part": Flaw(
        T,
        source=of(lambda: np.ones((2, 3), "c8")),
        limits={"dtypes": FLOATS},
        options={"dtype": "float32"},
        mends={"array": lambda a: a.real},
    ),
    "a cast that nobody can make": Flaw(
        T,
        limits={"dtypes": frozenset({"int8"})},
        source_limits={"dtypes": frozenset({"float32", "int64"})},
        options={"dtype": "int8"},
        mends={"array": lambda a: a.astype("i1")},
    ),
    "never writable": Flaw(R, limits={"immutable": True}, options={"writable": True}, mends={"writable": None}),
    "readonly, to be written": Flaw(
        R, source=of(readonly), options={"writable": True, "copy": False}, mends={"copy": None}
    ),
    "readonly, and can't say so": Flaw(
        R, source=of(readonly), limits={"readonly": "drops"}, options={"copy": False}, mends={"writable": False}
    ),
    "strides": Flaw(
        C,
        source=of(lambda: np.ones((2, 6), "f4")[:, ::2]),
        limits={"strides": "c"},
        options={"copy": False},
        mends={"copy": None},
    ),
    "an address": Flaw(C, source=of(odd), limits={"alignment": 0}, options={"copy": False}, mends={"copy": None}),
    "memory of its own": Flaw(C, limits={"own": frozenset({"float32"})}, options={"copy": False}, mends={"copy": None}),
    "another order": Flaw(C, options={"order": "F", "copy": False}, mends={"copy": None}),
    "a cast": Flaw(C, options={"dtype": "float64", "copy": False}, mends={"copy": None}),
    "a negative bit": Flaw(C, source=pending("neg"), options={"copy": False}, mends={"copy": None}),
    "the other byte order": Flaw(C, source=pending("byteorder"), options={"copy": False}, mends={"copy": None}),
}

#: Of a device that the target lacks nobody knows the limits.
UNDECIDED: Final = frozenset({"on a device that the target lacks", "a device that the target lacks"})

#: What is written into memory of the target's own is no view of readonly memory.
NEVER_BOTH: Final = frozenset({"readonly, and can't say so", "memory of its own"})


class Conflict(Exception):
    """Two flaws want different things of one call."""


@dataclass
class Call:
    """A call that has some flaws, which can be mended one by one."""

    flaws: list[Flaw]
    mended: list[Flaw] = field(default_factory=list)

    def _merged(self, part: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for flaw in self.flaws:
            for name, value in getattr(flaw, part).items():
                if found.setdefault(name, value) != value:
                    raise Conflict
        return found

    def source(self, framework: ToyFramework) -> Any:
        facts = self._merged("source")
        array = facts.pop("array", lambda: np.ones((2, 3), "f4"))()
        for flaw in self.mended:
            array = flaw.mends.get("array", lambda a: a)(array)
            facts |= {name: value for name, value in flaw.mends.items() if name == "traced"}
        return framework.array(array, **facts)

    def options(self) -> dict[str, Any]:
        asked = self._merged("options")
        for flaw in self.mended:
            asked |= {name: value for name, value in flaw.mends.items() if name not in ("array", "traced")}
        return asked

    def frameworks(self) -> tuple[ToyFramework, ToyFramework]:
        number = next(_names)
        given: dict[str, Any] = {"dtypes": EVERYTHING, **self._merged("limits")}
        devices = {kind for flaw in self.flaws for kind in flaw.devices}
        # Counted there if they are counted on the host, and there are two.
        elsewhere: dict[str, Any] = {**given, "devices": 2}
        lives = {1: Limits(**given), **dict.fromkeys(devices, Limits(**elsewhere))}
        own_limits: dict[str, Any] = {"dtypes": EVERYTHING, **self._merged("source_limits")}
        own = Limits(**own_limits)
        return ToyFramework(f"source{number}", {1: own, 2: own}), ToyFramework(f"target{number}", lives)


def explained(call: Call, x: Any, target: str) -> interop.InteropError | None:
    return interop.explain(x, target, **call.options()).error


def rank(error: interop.InteropError | None) -> int:
    """Where an error stands in the order; none comes after all of them."""
    return len(ORDER) if error is None else [type(error) is kind for kind in ORDER].index(True)


def advised(error: interop.InteropError) -> Iterator[str]:
    """The calls that a message names, those inside of others left out."""
    text, depth, start = str(error), 0, 0
    while (start := text.find("interop.convert(", start)) >= 0:
        for end in range(text.index("(", start), len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                yield text[start : end + 1]
                start = end
                break
        else:
            return


def together(*names: str) -> Call | None:
    """A call with these flaws; None where there can't be one, or it isn't decided."""
    call = Call([FLAWS[name] for name in names])
    kinds = {FLAWS[name].raises for name in names}
    if (UNDECIDED.intersection(names) and U in kinds and "a tracer" not in names) or NEVER_BOTH.issubset(names):
        return None
    for one, other in permutations(call.flaws, 2):
        if one.mends.items() & other.options.items():
            return None
    try:
        source, _ = call.frameworks()
        call.source(source)
        call.options()
    except Conflict:
        return None
    return call


PAIRS = [
    pair
    for pair in combinations(FLAWS, 2)
    if FLAWS[pair[0]].raises is not FLAWS[pair[1]].raises and together(*pair) is not None
]


@pytest.mark.parametrize("name", FLAWS)
def test_each_is_refused_by_itself_and_goes_as_its_message_says(name: str) -> None:
    flaw, call = FLAWS[name], together(name)
    assert call is not None
    source, target = call.frameworks()
    with registered(source, target):
        x = call.source(source)
        error = explained(call, x, target.name)
        assert type(error) is flaw.raises, error
        call.mended.append(flaw)
        assert explained(call, call.source(source), target.name) is None


def follow(call: str, x: Any) -> interop.InteropError | None:
    """What still stands against the call that a message names."""
    plan: interop.Plan = eval(call.replace("interop.convert(", "interop.explain(", 1), {"interop": interop, "x": x})
    return plan.error


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_the_first_of_two_errors_wins_and_mending_it_leads_to_the_second(pair: tuple[str, str]) -> None:
    call = together(*pair)
    assert call is not None
    first, second = call.flaws
    source, target = call.frameworks()
    with registered(source, target):
        x = call.source(source)
        error = explained(call, x, target.name)
        assert error is not None
        assert type(error) is first.raises, error
        for text in advised(error):
            assert rank(follow(text, x)) > rank(error), text
        call.mended = [first]
        after = explained(call, call.source(source), target.name)
        if {*first.mends} & {"array", "dtype", *second.source, *second.options}:
            # What mends the first changes what the second needs.
            assert rank(after) > rank(error), after
        else:
            assert type(after) is second.raises, after
        call.mended = [first, second]
        assert rank(explained(call, call.source(source), target.name)) > ORDER.index(second.raises)


BY_KIND = [[name for name in FLAWS if FLAWS[name].raises is kind] for kind in ORDER]


@pytest.mark.parametrize("first", BY_KIND[0])
def test_errors_come_in_one_order_however_many_there_are(first: str) -> None:
    """One of each class at once: mended one by one, none comes back and none comes before its turn."""
    met = 0
    for others in product(*BY_KIND[1:]):
        call = together(first, *others)
        if call is None:
            continue
        met += 1
        source, target = call.frameworks()
        with registered(source, target):
            last = -1
            while (error := explained(call, call.source(source), target.name)) is not None:
                assert rank(error) > last, (others, error)
                last = rank(error)
                call.mended.append(next(flaw for flaw in call.flaws if type(error) is flaw.raises))
    assert met > 20


def test_the_planner_asks_in_the_order_that_is_documented() -> None:
    assert errors.PRECEDENCE == ORDER
    assert {*refusals._CHECKS} == {*ORDER}
    page = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \{class\}`~interop\.(\w+)`", page, re.MULTILINE) == [kind.__name__ for kind in ORDER]


def sources_of_no_axes() -> dict[str, Any]:
    return {
        "numpy": np.array(7.0),
        "a numpy scalar": np.float64(7),
        "torch": torch.tensor(7.0),
        "torch, bfloat16": torch.tensor(7.0, dtype=torch.bfloat16),
        "torch, with a graph": torch.tensor(7.0, requires_grad=True),
        "a View": interop.view(np.array(7.0)),
        "a buffer": np.array(7.0).data,
        "ctypes": ctypes.c_double(7),
        "a capsule": interop.view(np.array(7.0)).__dlpack__(max_version=(1, 0)),
    }


@pytest.mark.parametrize("kind", sources_of_no_axes())
@pytest.mark.parametrize("options", [{}, {"copy": True}, {"dtype": "float32"}], ids=str)
def test_the_call_that_reshapes_works_for_whatever_was_passed(kind: str, options: dict[str, Any]) -> None:
    target = ToyFramework("plane", Limits(EVERYTHING, min_ndim=2))
    with registered(target):
        x = sources_of_no_axes()[kind]
        with pytest.raises(interop.UnsupportedError, match="fewer than 2 dimensions and this has 0") as caught:
            interop.convert(x, "plane", **options)
        (call,) = advised(caught.value)
        made = eval(call, {"interop": interop, "x": x})
        assert made.array.shape == (1, 1)
        assert float(made.array[0, 0]) == 7


def test_a_tensor_of_too_many_axes_that_requires_grad() -> None:
    target = ToyFramework("solid", Limits(EVERYTHING, max_ndim=3))
    t = torch.arange(24.0).reshape(1, 2, 3, 1, 4).requires_grad_()
    with registered(target):
        with pytest.raises(interop.UnsupportedError, match="at most 3 dimensions and this has 5") as caught:
            interop.convert(t, "solid")
        (call,) = advised(caught.value)
        made = eval(call, {"interop": interop, "x": t})
        assert made.array.shape == (6, 1, 4)
        assert made.array.ravel().tolist() == list(range(24))
