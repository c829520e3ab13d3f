"""convert_tree and explain_tree: what comes out has the shape, the sharing and the memory of what went in."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import types
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils import _pytree

import interop
from interop._agnostic._containers import classify
from interop._agnostic._paths import places
from interop._native import KEEP, LEAF

if TYPE_CHECKING:
    from collections.abc import Iterator

T = torch.ones(2)


class Pair(NamedTuple):
    a: Any
    b: Any


class Hostile(Pair):
    def __new__(cls, *_: Any) -> Self:
        raise AssertionError

    @classmethod
    def _make(cls, *_: Any) -> Hostile:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        raise AssertionError


@dataclasses.dataclass
class Plain:
    a: Any
    b: Any = "s"


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    b: Any = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    a: Any
    b: Any = 1


@dataclasses.dataclass
class Late:
    a: Any = dataclasses.field(init=False)
    late: Any = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.a = "set by __post_init__"


@dataclasses.dataclass
class WithInitVar:
    a: Any
    seed: dataclasses.InitVar[int]


@dataclasses.dataclass
class Cached:
    a: Any

    @functools.cached_property
    def total(self) -> Any:
        return self.a.sum()


class Private:
    __slots__ = ("__hidden", "a")

    def __init__(self, a: Any) -> None:
        self.a, self.__hidden = a, 7


class Dict(dict[Any, Any]):
    def __init__(self, x: Any, extra: Any) -> None:
        super().__init__(x=x)
        self.extra = extra


class List(list[Any]):
    pass


class Output(collections.OrderedDict[str, Any]):
    """As transformers' ModelOutput: a mapping and a dataclass, whose two faces are kept in step."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                self[field.name] = value

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        super().__setattr__(key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __delitem__(self, key: str) -> None:
        raise AssertionError


@dataclasses.dataclass
class Scores(Output):
    loss: Any = None
    logits: Any = None


#: Containers around one tensor, and how it is got at.
HOLDERS: dict[str, tuple[Any, Any]] = {
    "dict": ({"b": T, "a": 1, 3: T}, lambda x: x["b"]),
    "dict with a tensor for a key": ({T: T, None: 1}, lambda x: x[T]),
    "OrderedDict": (collections.OrderedDict(b=T, a=1), lambda x: x["b"]),
    "Counter": (collections.Counter({"a": T}), lambda x: x["a"]),
    "ChainMap": (collections.ChainMap[str, Any]({"a": T}, {"b": 1}), lambda x: x.maps[0]["a"]),
    "UserDict": (collections.UserDict({"a": T}), lambda x: x["a"]),
    "UserList": (collections.UserList([T]), lambda x: x[0]),
    "mappingproxy": (types.MappingProxyType({"a": T}), lambda x: x["a"]),
    "dict subclass": (Dict(T, "e"), lambda x: x["x"]),
    "list": ([1, T], lambda x: x[1]),
    "list subclass": (List([T]), lambda x: x[0]),
    "tuple": ((1, T), lambda x: x[1]),
    "deque": (collections.deque([T], maxlen=3), lambda x: x[0]),
    "named tuple": (Pair(T, 1), lambda x: x.a),
    "hostile named tuple": (tuple.__new__(Hostile, (T, 1)), lambda x: x.a),
    "torch.return_types": (torch.max(torch.ones(2, 2), 0), lambda x: x.values),
    "dataclass": (Plain(T), lambda x: x.a),
    "frozen": (Frozen(T), lambda x: x.a),
    "slots": (Slotted(T), lambda x: x.a),
    "InitVar": (WithInitVar(T, 3), lambda x: x.a),
    "mapping and dataclass": (Scores(loss=T), lambda x: x.loss),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_container_comes_out_as_it_went_in(name: str) -> None:
    tree, get = HOLDERS[name]
    made = interop.convert_tree(tree, "numpy")
    assert type(made) is type(tree)
    assert isinstance(get(made), np.ndarray)
    assert isinstance(get(tree), torch.Tensor)
    assert interop.shares_memory(get(made), get(tree))
    if isinstance(tree, dict):
        assert list(made) == list(tree)
    assert interop.explain_tree(tree, "numpy").ok


def test_what_a_container_knows_beside_its_elements_is_kept() -> None:
    factory = interop.convert_tree(collections.defaultdict(list, a=T), "numpy")
    assert type(factory) is collections.defaultdict
    assert factory.default_factory is list
    assert interop.convert_tree(collections.deque([T], maxlen=3), "numpy").maxlen == 3
    assert interop.convert_tree(Dict(T, "e"), "numpy").extra == "e"
    made = interop.convert_tree(Scores(loss=T, logits=T), "numpy")
    assert made["loss"] is made.loss
    assert list(made) == ["loss", "logits"]
    ordered = collections.OrderedDict(b=T, a=T)
    ordered.move_to_end("b")
    assert list(interop.convert_tree(ordered, "numpy")) == ["a", "b"]


def test_a_field_without_a_value_stays_so() -> None:
    x = Late()
    x.a, x.extra = T, 1  # type: ignore[attr-defined]
    made = interop.convert_tree(x, "numpy")
    assert isinstance(made.a, np.ndarray)
    assert made.extra == 1
    assert not hasattr(made, "late")


def test_what_was_worked_out_from_the_old_tensors_is_dropped() -> None:
    x = Cached(T)
    assert x.total == 2
    made = interop.convert_tree(x, "numpy")
    assert "total" not in vars(made)
    assert isinstance(made.total, np.generic)


def test_classes_of_attrs() -> None:
    attrs = pytest.importorskip("attrs")
    for options in ({}, {"frozen": True}, {"slots": False, "frozen": True, "cache_hash": True, "eq": True}):
        cls = attrs.define(type("Attrs", (), {"__annotations__": {"a": Any, "b": Any}}), **options)
        made = interop.convert_tree(cls(T, "s"), "numpy")
        assert type(made) is cls
        assert isinstance(made.a, np.ndarray)
        assert made.b == "s"


class Held:
    """Registered below."""

    def __init__(self, a: Any, note: Any = None) -> None:
        self.a, self.note = a, note


_pytree.register_pytree_node(Held, lambda x: ([x.a], x.note), lambda a, note: Held(next(iter(a)), note))


def test_classes_that_a_registry_knows() -> None:
    made = interop.convert_tree({"x": Held(T, "n")}, "numpy")["x"]
    assert type(made) is Held
    assert isinstance(made.a, np.ndarray)
    assert made.note == "n"
    assert list(interop.explain_tree([Held(T)], "numpy").leaves) == ["tree[0]<0>"]


def test_classes_that_optrees_registry_knows() -> None:
    optree = pytest.importorskip("optree")

    class Mine(Held):
        pass

    optree.register_pytree_node(
        Mine,
        lambda x: ([x.a, None], x.note),
        lambda note, a: Mine(a[0], note),
        namespace=optree.registry.__GLOBAL_NAMESPACE,
    )
    made = interop.convert_tree([Mine(T, "n")], "numpy")[0]
    assert isinstance(made.a, np.ndarray)
    assert made.note == "n"
    optree.unregister_pytree_node(Mine, namespace=optree.registry.__GLOBAL_NAMESPACE)


def test_a_class_may_be_registered_after_it_was_seen() -> None:
    class Later:
        def __init__(self, a: Any) -> None:
            self.a = a

    x = Later(T)
    assert interop.convert_tree([x], "numpy")[0] is x
    _pytree.register_pytree_node(Later, lambda x: ([x.a], None), lambda a, _: Later(*a))
    try:
        assert isinstance(interop.convert_tree([x], "numpy")[0].a, np.ndarray)
    finally:
        _pytree.SUPPORTED_NODES.pop(Later)


def untouched() -> Iterator[Any]:
    yield from ("hello", b"x", bytearray(b"x"), memoryview(b"x"), None, 1, 2.5, True, np.float32(3), np.bool_(True))
    yield from ({1, 2}, frozenset({1}), int, len, object(), torch.Size([1]), range(3), np.dtype("f4"), torch.float32)
    yield (x for x in "never iterated")


def test_everything_else_comes_through_by_identity() -> None:
    things = list(untouched())
    assert interop.convert_tree(things, "torch") is things
    made = interop.convert_tree([*things, T], "numpy")
    assert all(a is b for a, b in zip(made, things, strict=False))


def test_a_generator_is_not_iterated() -> None:
    generator = iter(range(3))
    lazy = (each for each in generator)
    interop.convert_tree([lazy, T], "numpy")
    assert next(generator) == 0


def test_an_unchanged_subtree_is_the_same_object() -> None:
    inner = {"a": [1, ("x", None)], "b": np.ones(2)}
    tree = {"unchanged": inner, "changed": T}
    assert interop.convert_tree(inner, "numpy") is inner
    assert interop.convert_tree(tree, "numpy")["unchanged"] is inner


def test_one_object_in_is_one_object_out() -> None:
    shared = [T, T]
    made = interop.convert_tree([shared, shared, {"a": T}], "numpy")
    assert made[0] is made[1]
    assert made[0][0] is made[0][1] is made[2]["a"]


def test_a_graph_with_more_paths_than_could_be_walked() -> None:
    tree: Any = [T]
    for _ in range(60):
        tree = [tree, tree]
    assert isinstance(interop.convert_tree(tree, "numpy"), list)
    assert len(interop.explain_tree(tree, "numpy").leaves) == 1


def test_a_cycle_is_refused_with_its_path() -> None:
    tree: list[Any] = []
    tree.append({"a": (1, tree)})
    with pytest.raises(interop.UnsupportedError, match=r'^tree\[0\]\["a"\]\[1\] is a container that holds itself'):
        interop.convert_tree(tree, "numpy")
    plan = interop.explain_tree(tree, "numpy")
    assert not plan.ok
    assert "holds itself" in str(plan)


def test_a_tree_too_deep_is_refused() -> None:
    tree: Any = [T]
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(interop.UnsupportedError, match="nested too deep"):
        interop.convert_tree(tree, "numpy")


def test_an_error_names_the_path_and_nothing_was_done() -> None:
    first = torch.ones(3)
    grad = torch.ones(2, requires_grad=True)
    with pytest.raises(interop.GradientError, match=r'^tree\["layers"\]\[1\]\.a: can.t hand a torch tensor'):
        interop.convert_tree({"first": first, "layers": [0, Plain(grad)]}, "numpy")
    # Not even locked.
    assert first.untyped_storage().resizable()
    plan = interop.explain_tree({"first": first, "layers": [0, Plain(grad)]}, "numpy")
    assert isinstance(plan.error, interop.GradientError)
    assert str(plan.error).startswith('tree["layers"][1].a: ')


@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.ones(2, requires_grad=True),
        lambda: torch.ones(2).to_sparse(),
        lambda: torch.empty(2, device="meta"),
    ],
)
def test_a_refused_tree_locks_no_storage(odd: Any) -> None:
    first = torch.ones(3)
    with pytest.raises(interop.InteropError):
        interop.convert_tree([first, odd()], "numpy")
    assert first.untyped_storage().resizable()


class Unhashable:
    def __hash__(self) -> int:
        if self.once:
            raise TypeError("not any more")
        return 1

    once = False


def test_what_cannot_be_rebuilt_is_named() -> None:
    key = Unhashable()
    tree = {"x": {key: T}}
    Unhashable.once = True
    with pytest.raises(interop.UnsupportedError, match=r'^tree\["x"\] is a dict, which .* \(TypeError: not any more\)'):
        interop.convert_tree(tree, "numpy")
    Unhashable.once = False


TREE: dict[str, Any] = {}


def test_a_tree_that_changes_while_it_is_walked() -> None:
    class Registered:
        pass

    def flatten(_: Any) -> Any:
        TREE.clear()
        gc.collect()
        return [torch.ones(3)], None

    _pytree.register_pytree_node(Registered, flatten, lambda a, _: next(iter(a)))
    try:
        TREE.update(e=Registered(), t=torch.ones(2), u=[torch.ones(2)])
        made = interop.convert_tree(TREE, "numpy")
        # As it was when the walk began.
        assert sorted(made) == ["e", "t", "u"]
        assert made["u"][0].tolist() == [1, 1]
    finally:
        _pytree.SUPPORTED_NODES.pop(Registered)


def test_a_class_made_in_a_function_can_die() -> None:
    def use() -> weakref.ref[type]:
        cls = dataclasses.make_dataclass("Dying", ["a"])
        interop.convert_tree(cls(T), "numpy")
        return weakref.ref(cls)

    died = use()
    gc.collect()
    assert died() is None


def test_a_metaclass_may_call_its_classes_equal_to_any_other() -> None:
    class Equal(type):
        def __eq__(cls, other: object) -> bool:
            return True

        def __hash__(cls) -> int:
            return hash(torch.Tensor)

    class Odd(metaclass=Equal):
        pass

    x = Odd()
    assert classify(T)[0] == LEAF
    assert classify(x)[0] == KEEP
    assert interop.convert_tree([x], "numpy")[0] is x


#: Options under which something is copied of each leaf.
COPIES = [
    ("numpy", {"copy": True}),
    ("numpy", {"dtype": "float64"}),
    ("torch", {"copy": True}),
    ("torch", {"dtype": "bfloat16"}),
]


@pytest.mark.parametrize(("to", "options"), COPIES)
def test_a_tied_state_dict_does_not_double(to: str, options: Any) -> None:
    layer = torch.nn.Linear(4, 4)
    state = torch.nn.ModuleDict({"a": layer, "b": layer}).state_dict()
    made = interop.convert_tree(state, to, **options)
    assert made["a.weight"] is made["b.weight"]
    plan = interop.explain_tree(state, to, **options)
    assert plan.copied_bytes == sum(interop.view(x).nbytes for x in (made["a.weight"], made["a.bias"]))


@pytest.mark.parametrize(("to", "options"), COPIES)
def test_windows_of_one_storage_stay_on_one(to: str, options: Any) -> None:
    base = torch.arange(12.0)
    tree = {"flat": base, "rows": base.view(3, 4), "row": base[4:8], "columns": base.view(3, 4).T}
    made = interop.convert_tree(tree, to, **options)
    made["row"][0] = 99
    assert float(made["flat"][4]) == float(made["rows"][1, 0]) == float(made["columns"][0, 1]) == 99
    assert float(base[4]) == 4
    if to == "torch":
        assert len({made[name].untyped_storage().data_ptr() for name in tree}) == 1
    plan = interop.explain_tree(tree, to, **options)
    assert plan.copied_bytes == interop.view(made["flat"]).nbytes


def test_windows_of_one_ndarray_stay_on_one() -> None:
    base = np.arange(12.0)
    made = interop.convert_tree({"flat": base, "row": base[4:8], "back": base[::-1]}, "numpy", copy=True)
    made["row"][0] = 99
    assert made["flat"][4] == made["back"][7] == 99
    assert base[4] == 4


def test_far_windows_are_copied_apart_and_the_plan_says_so() -> None:
    big = torch.zeros(100_000)
    tree = [big[::1000], big[1000:1002]]
    made = interop.convert_tree(tree, "numpy", copy=True)
    assert sum(x.nbytes for x in made) == 4 * 102
    plan = interop.explain_tree(tree, "numpy", copy=True)
    assert plan.copied_bytes == 4 * 102
    assert "becomes memory of its own: the memory between them" in str(plan)


def test_a_copy_of_what_overlaps_itself_is_dense() -> None:
    base = torch.arange(3.0)
    made = interop.convert_tree([base, base.expand(2, 3)], "numpy", copy=True)
    assert made[1].strides == (12, 4)


def test_parameters_to_their_own_framework_are_themselves() -> None:
    tree = [torch.nn.Parameter(torch.ones(2)), T]
    assert interop.convert_tree(tree, "torch") is tree
    assert interop.convert_tree(tree[0], "torch") is tree[0]


def test_an_order_that_is_asked_for_is_given() -> None:
    base = torch.arange(6.0).view(2, 3)
    made = interop.convert_tree([base, base.T], "numpy", order="C")
    assert all(x.flags.c_contiguous for x in made)


def test_a_plan_says_what_happens() -> None:
    tree = {"a": torch.ones(2), "b": [torch.ones(3)]}
    plan = interop.explain_tree(tree, "numpy", copy=True)
    assert plan
    assert plan.certain
    assert plan.copied_bytes == 20
    assert plan.transferred_bytes == 0
    assert str(plan).splitlines()[0] == "tree -> numpy: 2 leaves, 0 without a copy, 20 bytes copied"
    assert list(plan.leaves) == ['tree["a"]', 'tree["b"][0]']
    assert interop.explain_tree(tree, "numpy").copied_bytes == 0


def test_options_and_targets_are_checked_without_a_leaf() -> None:
    for call in (interop.convert_tree, interop.explain_tree):
        with pytest.raises(interop.UnsupportedError, match="copy='yes'"):
            call([], "numpy", copy="yes")  # type: ignore[arg-type]
        with pytest.raises(interop.UnsupportedError, match="Did you mean 'numpy'"):
            call([], "numpi")


#: Leaves of a few storages, and containers that turn up twice.
POOL = [torch.arange(12.0), torch.ones(3, 4).T, torch.arange(6)[::2]]
POOL += [POOL[0].view(3, 4), POOL[0][3:9], POOL[0].view(3, 4)[:, 1:3], POOL[0], torch.zeros(0), torch.tensor(1.0)]
SHARED: list[Any] = [[POOL[0], 1], {"z": POOL[4], "a": None}]

keys = st.one_of(st.text(max_size=2), st.integers(0, 3), st.none(), st.tuples(st.integers(0, 2)))
leaves = st.one_of(
    st.sampled_from(POOL), st.sampled_from(SHARED), st.text(max_size=3), st.integers(), st.none(), st.just(3.5)
)


def containers(inner: Any) -> Any:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict),
        st.dictionaries(keys, inner, max_size=3).map(lambda x: collections.defaultdict(int, x)),
        st.builds(Pair, inner, inner),
        st.builds(Slotted, inner, inner),
        st.lists(inner, max_size=3).map(lambda x: collections.deque(x, maxlen=9)),
    )


def flat(tree: Any) -> list[tuple[str, Any]]:
    return list(places(tree))


@given(
    st.recursive(leaves, containers, max_leaves=12),
    st.sampled_from([("numpy", {}), ("torch", {}), *COPIES[:3]]),
)
def test_structure_identity_and_memory_are_kept(tree: Any, how: tuple[str, Any]) -> None:
    to, options = how
    made = interop.convert_tree(tree, to, **options)
    before, after = flat(tree), flat(made)
    assert [path for path, _ in before] == [path for path, _ in after]
    pairs = [(a, b) for (_, a), (_, b) in zip(before, after, strict=True)]
    tensors = [(a, b) for a, b in pairs if isinstance(a, torch.Tensor)]
    for a, b in pairs:
        if isinstance(a, torch.Tensor):
            assert np.array_equal(a.double().numpy(), np.asarray(b, dtype="f8"))
        else:
            assert type(a) is type(b)
            assert classify(a)[0] != KEEP or a is b
    if not tensors or (to == "torch" and not options):
        assert made is tree
    for i, (a, b) in enumerate(tensors):
        for c, d in tensors[:i]:
            if a.dtype == c.dtype and a.numel() and c.numel():
                assert np.shares_memory(a.numpy(), c.numpy()) == np.shares_memory(np.asarray(b), np.asarray(d))
        if options.get("copy") and a.numel():
            assert not any(np.shares_memory(np.asarray(b), x.numpy()) for x in POOL if x.numel())
    plan = interop.explain_tree(tree, to, **options)
    assert plan.ok
    assert len(plan.leaves) == len(tensors)
