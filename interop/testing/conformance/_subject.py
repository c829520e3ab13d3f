"""What is checked: a library's factory and its from_dlpack, as text that goes into scripts, and as objects."""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The names by which scripts call what the author gave.
PARTS: Final = ("make", "small", "from_dlpack", "to_numpy", "readonly")

_DOTTED: Final = re.compile(r"[A-Za-z_][\w.]*")
# export(x) and export(x, stream=1); what is exported may be a call without arguments.
_VIEW: Final = re.compile(r"make\(a\)(\[[^\]]*\]|\.T)")
#: What goes to a consumer, by what it asks for: numpy's export of `a`, where its structures are, and its version.
_CAPSULES: Final = (
    ("EXPORTED", "a.__dlpack__()", "a.__dlpack__(max_version=(1, 3))"),
    ("TENSOR", 'pointer(capsule, b"dltensor")', 'pointer(capsule, b"dltensor_versioned") + 32'),
    ("DELETER", 'pointer(capsule, b"dltensor") + 56', 'pointer(capsule, b"dltensor_versioned") + 16'),
    ("HEAD", 'pointer(capsule, b"dltensor_versioned")', 'pointer(capsule, b"dltensor_versioned")'),
)
_EXPORT: Final = re.compile(r"(?<![\w.])export\((\w+(?:\(\))?)(?:, ([^()]+))?\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A library as the checks see it.

    Parameters
    ----------
    name
        What it is called in reports.
    imports
        Lines that go before everything else: imports, and switches of the library.
    make
        Text of a callable: from a numpy array to the library's own array of the same values and element type.
    small
        The same for the element types of ml_dtypes, where `make` doesn't take them.
    from_dlpack
        Text of the library's consumer.
    to_numpy
        Text of a callable that reads a result of the consumer.
    readonly
        Text of a callable like `make`, whose result is readonly or immutable.
    refused
        Texts of objects of the library that must not be exported.
    tricky
        Texts of objects of the library that aren't what their memory says, each with its values as a list of floats.
    ndims
        The numbers of dimensions that the library's arrays can have; None for all.
    export
        The arguments of ``__dlpack__`` by which checks export.
    versioned
        Whether it exports versioned capsules; None where that isn't known.
    indexes
        Whether its arrays can be sliced.
    asks_version
        Whether the consumer asks for versioned capsules.
    objects
        The callables themselves, of those parts whose text another process can't run.
    """

    name: str
    imports: str = ""
    make: str = ""
    small: str = ""
    from_dlpack: str = ""
    to_numpy: str = "np.from_dlpack"
    readonly: str = ""
    refused: tuple[str, ...] = ()
    tricky: tuple[tuple[str, str], ...] = ()
    ndims: tuple[int, ...] | None = None
    export: str = "max_version=(1, 3)"
    versioned: bool | None = None
    indexes: bool = True
    asks_version: bool = True
    objects: Mapping[str, Any] = field(default_factory=dict)

    def fill(self, script: str) -> str:
        """Put the subject's own text into a script."""
        text = _EXPORT.sub(self._exporting, script)
        for word, legacy, versioned in _CAPSULES:
            text = text.replace(word, versioned if self.asks_version else legacy)
        text = text.replace("SLICED", str(self.indexes))
        if not self.indexes:
            # Of what can't be sliced, a view is made of numpy's.
            text = _VIEW.sub(r"make(a\1)", text)
        text = text.replace("REFUSED", f"[{', '.join(self.refused)}]")
        text = text.replace("TRICKY", "[" + ", ".join(f"({x}, {values})" for x, values in self.tricky) + "]")
        if not self.small:
            text = re.sub(r"(?<![\w.])small\(", "make(", text)
        for part in PARTS:
            own = getattr(self, part)
            if own and _DOTTED.fullmatch(own) and own != part:
                text = re.sub(rf"(?<![\w.]){part}\(", f"{own}(", text)
        return text

    def _exporting(self, found: re.Match[str]) -> str:
        return f"{found[1]}.__dlpack__({', '.join(filter(None, (self.export, found[2])))})"

    def definitions(self, script: str) -> list[str]:
        """Return those of its parts that a filled script of this subject calls, as definitions."""
        return [
            f"{part} = {own}"
            for part in PARTS
            if (own := getattr(self, part)) and not _DOTTED.fullmatch(own)
            if re.search(rf"(?<![\w.]){part}\(", script)
        ]

    def function(self, part: str) -> Any:
        """Import what is needed, and return a part as the callable that it is."""
        namespace: dict[str, Any] = {}
        exec("import numpy as np\n" + self.imports, namespace)  # noqa: S102 - our own table, or the author's text
        return eval(getattr(self, part), namespace)  # noqa: S307

    def lacks(self, script: str) -> str | None:
        """Return the part that a script calls and that this subject hasn't, if there is one."""
        called = {part for part in PARTS if re.search(rf"(?<![\w.]){part}\(", script)}
        if "small" in called and not self.small:
            called = called - {"small"} | {"make"}
        return next((part for part in PARTS if part in called and not getattr(self, part)), None)

    @property
    def portable(self) -> bool:
        """Whether another process can run its scripts."""
        return all(part not in self.objects or getattr(self, part) != part for part in PARTS)


def text_of(function: Callable[..., Any]) -> tuple[str, str] | None:
    """Return the import and the expression by which another process finds a function, or None."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or "<" in name:
        return None
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.ismodule(owner) and not inspect.isclass(owner):
        # A method of an object, as of a class of tests: the class without arguments makes another such object.
        name = f"{type(owner).__qualname__}().{function.__name__}"
        if "<" in name:
            return None
    plain = name.replace("()", "")
    if module != "__main__" and _found(module, plain, function):
        return f"import {module}", f"{module}.{name}"
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        path = None
    if path is None:
        return None
    first, _, rest = name.partition(".")
    top, call = first.removesuffix("()"), "()" if first.endswith("()") else ""
    reach = f'runpy.run_path({path!r})["{top}"]{call}{"." if rest else ""}{rest}'
    return "import runpy", reach


def _found(module: str, name: str, function: Any) -> bool:
    """Tell whether a new process that imports the module finds the function in it."""
    top, _, rest = module.partition(".")
    spec = PathFinder.find_spec(top)
    loaded = sys.modules.get(module)
    if loaded is None or (spec is None and top not in sys.builtin_module_names):
        return False
    if rest and spec is not None and (file := getattr(loaded, "__file__", None)) is not None:
        # pytest gives names to modules that nobody else can import by them.
        found_at = [Path(folder, *rest.split(".")) for folder in spec.submodule_search_locations or ()]
        if Path(file).with_suffix("") not in found_at and Path(file).parent not in found_at:
            return False
    try:
        found: Any = loaded
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        return False
    return bool(getattr(found, "__func__", found) == getattr(function, "__func__", function))


def with_callable(subject: Subject, part: str, given: Callable[..., Any] | str | None) -> Subject:
    """Return a subject one part of which is what an author gave: a callable, ``"module:name"``, or nothing."""
    if given is None:
        return subject
    if isinstance(given, str):
        module, colon, name = given.partition(":")
        expression = f"{module}.{name}" if colon else given
        imports = f"import {module}" if colon else ""
        return _joined(_changed(subject, {part: expression}), imports)
    text = text_of(given)
    objects = {**subject.objects, part: given}
    if text is None:
        return _changed(subject, {"objects": objects, part: part})
    return _joined(_changed(subject, {"objects": objects, part: text[1]}), text[0])


def _changed(subject: Subject, changes: dict[str, Any]) -> Subject:
    return replace(subject, **changes)


def _joined(subject: Subject, imports: str) -> Subject:
    lines = [line for line in subject.imports.splitlines() if line]
    return replace(subject, imports="\n".join(dict.fromkeys([*lines, *imports.splitlines()])))


def local(subject: Subject) -> Subject:
    """Return the subject as this process runs it: with the author's own callables."""
    return _changed(subject, {part: part for part in subject.objects})
