"""What others add: the example package outside of this one, and plugins that are broken in every way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames import is_planned
from toys import registry_kept

import interop
from interop._native import ndarray_from_view, view_from_ndarray
from interop.protocols import Facts, HostAdapter, Limits

TESTS = Path(__file__).parent
EXAMPLE = TESTS / "plugin_example"


# By entry point: each in a fresh interpreter, from a folder that looks like an environment with the package installed.

ADAPTER = """
from interop.protocols import HostAdapter
class Array:
    def __init__(self, cells): self.cells = cells
class Mine(HostAdapter):
    name = "mine"
    types = (Array,)
    def to_numpy(self, x): return x.cells
    def from_numpy(self, array): return Array(array)
"""

#: How a plugin can be broken: its module's text, its entry point, and what has to be said of it.
BROKEN = {
    "raises at import": ("raise RuntimeError('no licence')", "mine:adapter", "RuntimeError: no licence"),
    "leaves at import": ("raise SystemExit(3)", "mine:adapter", "SystemExit: 3"),
    "points to no module": ("", "mine_nowhere:adapter", "No module named 'mine_nowhere'"),
    "points to no attribute": ("", "mine:adapter", "no attribute 'adapter'"),
    "points to a class": (ADAPTER + "adapter = Mine", "mine:adapter", "Mine is a class: offer an object of it, Mine()"),
    "is no adapter": ("adapter = object()", "mine:adapter", "an object isn't one: it lacks api, name and"),
    "another version": (ADAPTER + "Mine.api = 99\nadapter = Mine()", "mine:adapter", "speaks version 99"),
    "another name": (ADAPTER + "Mine.name = 'yours'\nadapter = Mine()", "mine:adapter", "is named 'yours'"),
    "modules of nonsense": (ADAPTER + "Mine.modules = 7\nadapter = Mine()", "mine:adapter", "its modules are 7"),
}

PROGRAM = """
import json, sys
import numpy as np
import interop
said = {}
try:
    interop.convert(np.ones(2), "mine")
except interop.UnsupportedError as error:
    said["target"] = str(error)
# Everything else goes on, whatever is asked first.
assert interop.to_numpy(np.ones(2)).shape == (2,)
assert interop.view(memoryview(b"ab")).readonly
assert interop.DType(np.float32) == "float32"
try:
    interop.to_numpy(object())
except interop.UnsupportedError:
    pass
said["problem"] = interop.adapters()["mine"].problem
said["loaded"] = interop.adapters()["mine"].loaded
print(json.dumps(said))
"""


def install(folder: Path, name: str, text: str, entry: str, package: str = "their-package") -> None:
    """Put a package with an entry point where Python finds it."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    info = folder / f"{package.replace('-', '_')}-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[interop.adapters]\n{name} = {entry}\n", encoding="utf-8")


def run(folder: Path, program: str) -> dict[str, Any]:
    """Run a program that prints JSON, with the folder's packages."""
    path = os.pathsep.join([str(folder), str(TESTS.parent)])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plugin_is_named_and_breaks_nothing_else(kind: str, tmp_path: Path) -> None:
    text, entry, says = BROKEN[kind]
    install(tmp_path, "mine", text, entry)
    if text.startswith("raise"):
        # Its library itself is whole: only the adapter beside it isn't.
        (tmp_path / "mine_interop.py").write_text(text, encoding="utf-8")
        (tmp_path / "mine.py").write_text("", encoding="utf-8")
        info = tmp_path / "their_package-2.1.dist-info" / "entry_points.txt"
        info.write_text("[interop.adapters]\nmine = mine_interop:adapter\n", encoding="utf-8")
    said = run(tmp_path, PROGRAM)
    assert says in said["target"]
    assert said["problem"] == said["target"]
    assert "their-package 2.1" in said["target"]
    assert "pip" in said["target"] or "uninstall" in said["target"]
    assert not said["loaded"]


def test_a_type_of_a_broken_plugin_says_why_it_isnt_known(tmp_path: Path) -> None:
    install(tmp_path, "mine", "class Array: pass\n" + BROKEN["is no adapter"][0], "mine:adapter")
    said = run(
        tmp_path,
        """
        import json, mine, interop
        try:
            interop.to_numpy(mine.Array())
        except interop.UnsupportedError as error:
            print(json.dumps({"said": str(error)}))
        """,
    )
    assert "a mine.Array is no tensor" in said["said"]
    assert "their-package 2.1" in said["said"]


@pytest.mark.parametrize("other", ["numpy", "mine"])
def test_names_that_collide(other: str, tmp_path: Path) -> None:
    install(tmp_path, "mine", ADAPTER + "adapter = Mine()", "mine:adapter")
    install(tmp_path, other, "", "mine:adapter", package="another-package")
    if other == "numpy":
        (tmp_path / "numpy.py").unlink()
    else:
        (tmp_path / "mine.py").write_text(ADAPTER + "adapter = Mine()", encoding="utf-8")
    said = run(
        tmp_path,
        """
        import json, numpy as np, interop
        assert type(interop.convert(np.ones(2), "mine")).__name__ == "Array"
        assert interop.adapters()["numpy"].origin == "built-in"
        print(json.dumps({name: info.problem for name, info in interop.adapters().items() if info.problem}))
        """,
    )
    (who, what), *more = said.items()
    assert not more
    assert "package 2.1" in who
    assert "built-in" in what if other == "numpy" else "same name" in what


def test_a_plugin_is_loaded_when_its_library_is_there_and_not_before(tmp_path: Path) -> None:
    install(tmp_path, "mine", "class Array: pass", "mine_interop:adapter")
    (tmp_path / "mine_interop.py").write_text(ADAPTER + "adapter = Mine()", encoding="utf-8")
    said = run(
        tmp_path,
        """
        import json, sys, numpy as np, interop
        interop.to_numpy(np.ones(2))
        interop.adapters()
        before = "mine" in sys.modules or "mine_interop" in sys.modules
        import mine
        interop.dtype(np.ones(2)), interop.DType("float32").matches(object())
        try:
            interop.to_numpy(object())
        except interop.UnsupportedError:
            pass
        print(json.dumps({"before": before, "after": interop.adapters()["mine"].loaded}))
        """,
    )
    assert said == {"before": False, "after": True}


def test_an_adapter_can_be_registered_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ADAPTER + "adapter = Mine()", encoding="utf-8")
    said = run(
        tmp_path,
        """
        import json, mine, interop
        interop.register(mine.adapter)
        import numpy as np
        print(json.dumps({"shape": interop.to_numpy(mine.Array(np.ones((2, 3)))).shape}))
        """,
    )
    assert said == {"shape": [2, 3]}


def test_the_example_package(tmp_path: Path) -> None:
    """Built, installed and tested by its own tests, which use nothing but what is public."""
    source, there = tmp_path / "source", tmp_path / "installed"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(there), str(source)], check=True)
    path = os.pathsep.join([str(there), str(TESTS.parent)])
    workflow = (EXAMPLE / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    commands = re.findall(r"- run: (?:python -m )?((?:interop|pytest)\b.*)", workflow)
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            check=False,
            cwd=source,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": "-q -p no:cacheprovider"},
        )
        assert done.returncode == 0, command + done.stdout + done.stderr


# By register(): what answers wrongly is found where it answers.


class Cells:
    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


class CellsAdapter(HostAdapter):
    name = "cells"
    types = (Cells,)

    def to_numpy(self, x: Cells, /) -> np.ndarray[Any, Any]:
        return x.array

    def from_numpy(self, array: np.ndarray[Any, Any], /) -> Cells:
        return Cells(array)


@pytest.fixture
def joined() -> Iterator[Callable[..., None]]:
    """Register a CellsAdapter with some of its verbs replaced."""

    def register(**verbs: Any) -> None:
        kind: Any = type("Broken", (CellsAdapter,), verbs)
        interop.register(kind())

    with registry_kept():
        yield register


def fails(*_: Any, **__: Any) -> Any:
    raise KeyError("inside the adapter")


def test_the_base_class_is_enough(joined: Callable[..., None]) -> None:
    joined()
    array = np.arange(6, dtype="f4").reshape(2, 3)
    cells = interop.convert(array, "cells")
    assert interop.shares_memory(cells, array)
    assert interop.to_numpy(cells).base is not None
    assert interop.to_numpy(cells, order="F").flags.f_contiguous
    assert interop.convert(cells, "cells") is cells
    assert interop.convert(cells, "cells", copy=True) is not cells
    assert interop.convert(array, "cells", dtype="bfloat16").array.dtype.name == "bfloat16"
    array.flags.writeable = False
    assert not interop.convert(array, "cells").array.flags.writeable
    assert interop.adapters()["cells"].problem == ""
    with pytest.raises(interop.UnsupportedError, match="no tensor"):
        interop.to_numpy(type("Sub", (Cells,), {})(array))


def test_values_never_go_into_memory_that_is_decoded(joined: Callable[..., None]) -> None:
    joined(pending=lambda self, x: frozenset({"encoded"}), values=lambda self, x: x.array * 2)
    cells = Cells(np.zeros(2))
    with pytest.raises(interop.UnsupportedError, match="the memory of this Cells isn't its values"):
        interop.copyto(cells, np.ones(2))
    assert cells.array.tolist() == [0, 0]


def test_memory_that_is_no_ndarray_is_the_adapters_bug(joined: Callable[..., None]) -> None:
    joined()
    with pytest.raises(
        interop.UnsupportedError, match=r"the adapter 'cells'.*to_numpy\(\) returned a list, no ndarray"
    ):
        interop.to_numpy(Cells([1.0]))  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", ["claims", "native_dtypes", "native_device", "native_stream"])
def test_a_look_up_that_raises_breaks_nothing_else(verb: str, joined: Callable[..., None]) -> None:
    joined(**{verb: fails})
    with pytest.raises(interop.UnsupportedError):
        interop.to_numpy(object())
    with pytest.raises(interop.DTypeError):
        interop.DType(object())
    with pytest.raises(interop.DeviceError):
        interop.Device(object())
    with pytest.raises(interop.DeviceError):
        interop.to_numpy(np.ones(2), stream=object())
    assert interop.to_numpy(np.ones(2)).shape == (2,)
    assert "inside the adapter" in interop.adapters()["cells"].problem
    if verb == "claims":
        with pytest.raises(interop.UnsupportedError, match=r"'cells'.*its claims\(\) raised KeyError"):
            interop.to_numpy(Cells(np.ones(2)))


NONSENSE: dict[str, dict[str, Any]] = {
    "limits raises": {"limits": fails},
    "limits is no Limits": {"limits": lambda self, device_type: {"float32"}},
    "limits of nonsense": {"limits": lambda self, device_type: Limits(dtypes=["float32"])},  # type: ignore[arg-type]
    "strides of nonsense": {"limits": lambda self, device_type: Limits(frozenset(), strides="fortran")},  # type: ignore[arg-type]
    "describe raises": {"describe": fails},
    "describe is no Facts": {"describe": lambda self, x: None},
    "a shape of nonsense": {"describe": lambda self, x: replace(CellsAdapter().describe(x), shape=[2])},  # type: ignore[arg-type]
    "a negative length": {"describe": lambda self, x: replace(CellsAdapter().describe(x), shape=(-2,), strides=(1,))},
    "strides of other axes": {"describe": lambda self, x: replace(CellsAdapter().describe(x), strides=(1, 1, 1))},
    "a dtype of nonsense": {"describe": lambda self, x: replace(CellsAdapter().describe(x), dtype="float32")},  # type: ignore[arg-type]
    "a pending word of nonsense": {"pending": lambda self, x: frozenset({"encodedd"})},
    "encoded, and nothing decodes": {"pending": lambda self, x: frozenset({"encoded"})},
    "export raises": {"export": fails},
    "export is no View": {"export": lambda self, x, facts, stream: x.array},
    "export of another shape": {"export": lambda self, x, facts, stream: view_from_ndarray(x.array[:1])},
    "export of another dtype": {"export": lambda self, x, facts, stream: view_from_ndarray(x.array.view("i4"))},
    "export of other memory": {"export": lambda self, x, facts, stream: view_from_ndarray(x.array.copy())},
    "export of other strides": {
        "export": lambda self, x, facts, stream: view_from_ndarray(x.array[::1, ::-1][:, ::-1].T.copy().T)
    },
}


def test_types_are_types() -> None:
    with pytest.raises(TypeError, match="types holds 'Cells', no type"):
        type("Worded", (HostAdapter,), {"name": "worded", "types": ("Cells",)})


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_source_of_nonsense_is_named(kind: str, joined: Callable[..., None]) -> None:
    joined(**NONSENSE[kind])
    cells = Cells(np.arange(4, dtype="f4").reshape(2, 2))
    with pytest.raises(interop.UnsupportedError, match="cells"):
        interop.to_numpy(cells)
    assert interop.adapters()["cells"].problem
    assert interop.to_numpy(np.ones(2)).shape == (2,)


TARGETS: dict[str, dict[str, Any]] = {
    "wrap raises": {"wrap": fails},
    "wrap makes something else": {"wrap": lambda self, view: [1, 2]},
    "wrap makes None": {"wrap": lambda self, view: None},
    "wrap copies": {"wrap": lambda self, view: Cells(ndarray_from_view(view).copy())},
    "wrap of another shape": {"wrap": lambda self, view: Cells(ndarray_from_view(view)[:1])},
    "wrap of another dtype": {"wrap": lambda self, view: Cells(ndarray_from_view(view).view("i4"))},
    "wrap of other strides": {"wrap": lambda self, view: Cells(ndarray_from_view(view).T)},
    "limits raises": {"limits": fails},
    "current_device of nonsense": {
        "current_device": lambda self, device_type: "0",
        "limits": lambda self, kind: Limits(frozenset({"float32"})),
    },
}


@pytest.mark.parametrize("kind", TARGETS)
def test_a_target_of_nonsense_is_named(kind: str, joined: Callable[..., None]) -> None:
    joined(**TARGETS[kind])
    options: Any = {"device": "cuda"} if kind.startswith("current_device") else {}
    with pytest.raises(interop.InteropError, match="cells"):
        interop.convert(np.arange(4, dtype="f4").reshape(2, 2), "cells", **options)
    assert interop.to_numpy(np.ones(2)).shape == (2,)


def test_a_copy_into_less_memory_than_was_asked_for(joined: Callable[..., None]) -> None:
    joined(empty=lambda self, dtype, shape, strides, device: Cells(np.empty(1, dtype.numpy)))
    with pytest.raises(interop.UnsupportedError, match=r"its empty\(\) made"):
        interop.convert(np.arange(4, dtype="f4"), "cells", copy=True)


def test_readonly_memory_stays_readonly_whatever_the_adapter_says(joined: Callable[..., None]) -> None:
    def describe(self: Any, x: Cells) -> Facts:
        return replace(CellsAdapter().describe(x), readonly=True)

    joined(describe=describe)
    assert not interop.to_numpy(Cells(np.ones(2))).flags.writeable


def test_what_an_older_adapter_had_beside_is_ignored(joined: Callable[..., None]) -> None:
    joined(fast=fails)
    array = np.ones(2)
    for _ in range(3):
        assert interop.shares_memory(interop.to_numpy(Cells(array)), array)
    assert interop.adapters()["cells"].problem == ""


def test_the_base_class_is_planned_for_once(joined: Callable[..., None]) -> None:
    joined()
    array = np.arange(6, dtype="f4").reshape(2, 3)
    calls: list[Callable[[], Any]] = [
        lambda: interop.to_numpy(Cells(array)),
        lambda: interop.to_numpy(Cells(array), copy=False),
        lambda: interop.to_torch(Cells(array)),
        lambda: interop.convert(array, "cells"),
        lambda: interop.view(Cells(array)),
    ]
    for call in calls:
        for _ in range(3):
            assert interop.shares_memory(call(), array)
        assert not is_planned(call)


#: What an author overrides, and what has to be seen of it in the second object of a kind.
OVERRIDDEN: dict[str, dict[str, Any]] = {
    "describe": {"describe": lambda self, x: replace(HostAdapter.describe(self, x), grad=grad_of(x))},
    "pending": {"pending": lambda self, x: frozenset() if plain(x) else fails()},
    "export": {
        "export": lambda self, x, facts, stream: HostAdapter.export(self, x, facts, stream) if plain(x) else fails()
    },
    "view": {"view": lambda self, x: HostAdapter.view(self, x) if plain(x) else fails()},
}


def plain(x: Cells) -> bool:
    return bool(x.array[0] == 0)


def grad_of(x: Cells) -> Any:
    return "none" if plain(x) else "reverse"


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_an_author_overrides_is_asked_of_every_object(name: str, joined: Callable[..., None]) -> None:
    joined(**OVERRIDDEN[name])
    for _ in range(3):
        assert interop.to_numpy(Cells(np.zeros(2))).tolist() == [0, 0]
        with pytest.raises(interop.InteropError):
            interop.to_numpy(Cells(np.ones(2)))


def test_registering_again_mends(joined: Callable[..., None]) -> None:
    joined(claims=fails)
    with pytest.raises(interop.UnsupportedError):
        interop.to_numpy(Cells(np.ones(2)))
    joined()
    assert interop.to_numpy(Cells(np.ones(2))).shape == (2,)
    assert interop.adapters()["cells"].problem == ""


def test_the_advice_for_an_element_type_that_it_lacks_is_a_call_that_works() -> None:
    class Cells:
        def __init__(self, array: Any) -> None:
            self.array = array

    class Wide(HostAdapter):
        name = "wide"
        types = (Cells,)
        room = Limits(frozenset({"float64", "int64"}))

        def to_numpy(self, x: Any, /) -> Any:
            return x.array

        def from_numpy(self, array: Any, /) -> Any:
            return Cells(array)

    interop.register(Wide())
    with pytest.raises(interop.DTypeError, match=r"interop.convert\(x, 'wide', dtype='float64'\) converts the values"):
        interop.convert(np.ones(2, "float32"), "wide")
    assert interop.convert(np.ones(2, "float32"), "wide", dtype="float64").array.dtype == "float64"
    # A number that isn't complex holds one part only.
    with pytest.raises(interop.DTypeError, match=r"\(interop.to_numpy\(x\).real, 'wide', dtype='float64'\) hands over"):
        interop.convert(np.ones(2, "complex64"), "wide")
