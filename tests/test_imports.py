"""Importing and using interop loads no framework that the user didn't import, and changes no global state.

Each in a process of its own: in this one everything has been imported already.
"""

from __future__ import annotations

import ast
import graphlib
import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest
from patience import PATIENCE

import interop

FRAMEWORKS = (
    "array_api_strict",
    "awkward",
    "cudf",
    "cupy",
    "cupyx",
    "dask",
    "dpctl",
    "dpnp",
    "jax",
    "jaxlib",
    "mindspore",
    "mlx",
    "mxnet",
    "ndonnx",
    "numba",
    "nvidia",
    "openvino",
    "paddle",
    "PIL",
    "pandas",
    "polars",
    "pyarrow",
    "ray",
    "scipy",
    "sparse",
    "tensorflow",
    "tinygrad",
    "torch",
    "tvm_ffi",
    "warp",
    "xarray",
)

#: What a user does with host arrays of numpy alone.
USES = {
    "import": "",
    "to_numpy": "assert interop.to_numpy(a) is a",
    "convert": "assert interop.convert(a[::-1], 'numpy', order='C', copy=True).flags.c_contiguous",
    "convert_like": "assert interop.convert_like(a, a) is a",
    "explain": "assert interop.explain(a, 'numpy').ok",
    "view": "assert interop.view(a).ptr == a.ctypes.data",
    "buffer": "assert interop.to_numpy(bytearray(b'abc')).tolist() == [97, 98, 99]",
    "framework": "assert interop.framework(a) == 'numpy'",
    "device": "assert interop.device(a) == 'cpu'",
    "dtype": "assert interop.dtype(a) == 'float64'",
    "shares_memory": "assert interop.shares_memory(a, a[1:])",
    "copyto": "interop.copyto(a, a + 1)",
    "refuse": """
try: interop.to_numpy('text')
except interop.UnsupportedError: pass
else: raise AssertionError
""",
    "convert_tree": "assert interop.convert_tree({'a': [a]}, 'numpy')['a'][0] is a",
    "explain_tree": "assert interop.explain_tree([a], 'numpy').ok",
    "via": "assert interop.via('numpy')(lambda x: x)(a) is a",
    "guard": """
with interop.guard() as seen: interop.to_numpy(a, copy=True)
assert seen.copies == 1
""",
    "adapters": "interop.adapters()",
    "errors": "import interop.errors",
    "protocols": "import interop.protocols",
}


def run_fresh(code: str, *, path: Path | None = None) -> str:
    """What `code` prints in a new process, where every warning is an error; `path` comes first on its import path."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def decoys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where every framework is a package that can't be imported without a trace, installed here or not."""
    folder = tmp_path_factory.mktemp("decoys")
    for name in FRAMEWORKS:
        package = folder / name
        package.mkdir()
        (package / "__init__.py").write_text(f"raise BaseException('{name} was imported')\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("use", USES)
def test_loads_no_framework_that_the_user_did_not_import(use: str, decoys: Path) -> None:
    run_fresh(f"import interop, numpy\na = numpy.arange(6.0)\n{USES[use]}", path=decoys)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_decoy_would_be_noticed(framework: str, decoys: Path) -> None:
    out = run_fresh(
        f"""
        try: import {framework}
        except BaseException as error: print(error)
        """,
        path=decoys,
    )
    assert out == f"{framework} was imported\n"


@pytest.mark.parametrize("use", USES)
def test_loads_nothing_but_numpy_and_ml_dtypes(use: str) -> None:
    out = run_fresh(f"""
import sys
before = set(sys.modules)
import interop, numpy
a = numpy.arange(6.0)
{USES[use]}
names = {{name.partition(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names
# Compiled modules make these of themselves, numpy's among them; nothing is loaded for it.
print(*sorted(name for name in names if name != "cython_runtime" and not name.startswith("_cython_")))
""")
    assert out.split() == ["interop", "ml_dtypes", "numpy"]


def test_a_framework_that_the_user_imported_brings_no_other(decoys: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    others = tmp_path / "others"
    others.mkdir()
    for name in ("cupy", "jax", "tensorflow", "mlx", "paddle", "pyarrow", "pandas"):
        (others / name).symlink_to(decoys / name)
    run_fresh(
        """
        import torch
        import interop
        t = torch.arange(6.0)
        assert interop.to_numpy(t).ctypes.data == t.data_ptr()
        assert interop.convert(interop.to_numpy(t), "torch").data_ptr() == t.data_ptr()
        assert interop.explain(t, "numpy").zero_copy
        """,
        path=others,
    )


#: Everything process-wide that an import could change, as one value that compares by content.
STATE = """
def values(module):
    return {name: value for name, value in vars(module).items() if not isinstance(value, type(module))}

def state():
    import builtins, decimal, gc, locale, logging, os, signal, sys, threading, warnings
    import ml_dtypes, numpy
    return {
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, sys.breakpointhook),
        "import system": (list(sys.path), list(sys.meta_path), list(sys.path_hooks), builtins.__import__),
        "builtins": dict(vars(builtins)),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "gc": (gc.isenabled(), gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count()),
        "threads": threading.enumerate(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": (logging.root.level, list(logging.root.handlers), sorted(logging.root.manager.loggerDict)),
        "decimal": repr(decimal.getcontext()),
        "numpy errors": (numpy.geterr(), numpy.geterrcall()),
        "numpy printing": numpy.get_printoptions(),
        "numpy dtypes": dict(numpy.sctypeDict),
        "numpy": values(numpy),
        "ml_dtypes": values(ml_dtypes),
        "casts": numpy.can_cast(ml_dtypes.bfloat16, numpy.float32),
        "work folder": os.getcwd(),
    }
"""


@pytest.mark.parametrize("use", ["import", "to_numpy", "adapters"])
def test_changes_no_global_state(use: str) -> None:
    out = run_fresh(f"""
{STATE}
state()  # what looking at it imports is imported now
before = state()
import interop, numpy
a = numpy.arange(6.0)
{USES[use]}
after = state()
print(*(name for name in before if before[name] != after[name]), sep=", ")
""")
    assert out.strip() == ""


def test_prints_nothing() -> None:
    assert run_fresh("import interop") == ""


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL always")
def test_leaves_the_gil_off() -> None:
    # One module that isn't declared ready for it would turn it on for the whole process.
    assert run_fresh("import sys, interop; print(sys._is_gil_enabled())") == "False\n"


def test_a_framework_that_was_asked_for_and_is_missing_fails_the_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--collect-only", "-q", __file__],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"INTEROP_TEST_FRAMEWORKS": "numpy,no_such_framework"},
        cwd=Path(__file__).parent.parent,
        timeout=PATIENCE,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "it can't import no_such_framework (ModuleNotFoundError" in done.stderr


def test_importing_watches_no_forks() -> None:
    """A hook for forks can't be taken out again: only a process that lends device memory has one."""
    code = """
    import os
    hooks = []
    register = os.register_at_fork
    os.register_at_fork = lambda **given: (hooks.extend(given.values()), register(**given))
    import numpy, ml_dtypes
    import interop, interop._adapters._shared.cuda
    interop.to_numpy(interop.view(numpy.zeros(3)))
    print([hook for hook in hooks if str(getattr(hook, "__module__", "")).startswith("interop")])
    """
    assert run_fresh(textwrap.dedent(code)).strip() == "[]"


# The shape of the code.

PACKAGE = Path(interop.__file__).parent

#: Imports of our own inside of functions: of what itself imports a framework, which is there when they are reached.
LATE = {
    ("interop._compiled", "interop._adapters._torch_compiled"),
    ("interop._agnostic._bridge._torch", "interop._agnostic._bridge._torch_traced"),
}


def modules() -> dict[str, ast.Module]:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): ast.parse(path.read_text("utf-8")) for path, name in names.items()}


def imported(nodes: list[ast.stmt], known: set[str]) -> set[str]:
    """Modules of ours that run when these statements do."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.split(".")[0] == "interop":
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            # A package that only modules are taken from doesn't have to be whole.
            found |= inner & known if inner <= known else (inner | {node.module}) & known
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            found |= imported([*node.body, *node.orelse], known)
        elif isinstance(node, ast.Try):
            found |= imported([*node.body, *(each for handler in node.handlers for each in handler.body)], known)
    # The package itself is whole when its modules are asked for anything.
    return found - {"interop"}


def test_no_module_imports_one_that_imports_it() -> None:
    trees = modules()
    graph = {name: imported(tree.body, set(trees)) - {name} for name, tree in trees.items()}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_no_import_of_ours_hides_in_a_function() -> None:
    trees = modules()
    late: set[tuple[str, str]] = set()
    for name, tree in trees.items():
        if name.startswith(("interop.cli", "interop.testing", "interop.integrations", "interop.__")):
            continue
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inner = [node for each in functions for node in ast.walk(each) if isinstance(node, ast.ImportFrom)]
        late |= {(name, module) for module in imported(list[ast.stmt](inner), set(trees))}
    assert late == LATE
