"""Writing a check's script out: in full to be run, and short to be read."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from interop.testing.conformance._check import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from interop.testing.conformance._check import Check
    from interop.testing.conformance._subject import Subject

#: What scripts may call, in the order in which it is written out. A script has only what it calls. VERSIONED is
#: whether the capsule is one of DLManagedTensorVersioned, and NAME is its name.
_HELPERS: Final[Mapping[str, str]] = {
    "pointer": "pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)"
    '(("PyCapsule_GetPointer", ctypes.pythonapi))',
    "rename": "rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)"
    '(("PyCapsule_SetName", ctypes.pythonapi))',
    "name_of": "name_of = lambda capsule: repr(capsule).split('\"')[1]",
    "versioned": 'versioned = lambda capsule: "versioned" in repr(capsule)',
    # DLManagedTensor, DLManagedTensorVersioned
    "address": "address = lambda capsule: pointer(capsule, NAME)",
    "version_of": "version_of = lambda capsule: tuple("
    '(ctypes.c_uint32 * 2).from_address(pointer(capsule, b"dltensor_versioned")))',
    "flags_of": "flags_of = lambda capsule: ctypes.c_uint64.from_address("
    'pointer(capsule, b"dltensor_versioned") + 24).value',
    "deleter_of": "deleter_of = lambda capsule: ctypes.c_void_p.from_address(pointer(capsule, NAME) + DELETER)",
    # DLTensor
    "tensor": "tensor = lambda capsule: pointer(capsule, NAME) + TENSOR",
    "read": 'read = lambda capsule: struct.unpack("PiiiBBHPPQ", ctypes.string_at(tensor(capsule), 48))'
    "  # data, device, ndim, dtype, shape, strides, byte_offset",
    "sides": "sides = lambda capsule: list((ctypes.c_int64 * read(capsule)[3]).from_address(read(capsule)[7]))",
    "memory": 'memory = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")',
    "api_of": 'api_of = lambda tp: pointer(tp.__dlpack_c_exchange_api__, b"dlpack_exchange_api")',
    "functions": 'functions = lambda tp: struct.unpack("5P", ctypes.string_at(api_of(tp) + 16, 40))'
    "  # allocate, export, receive, lend, stream",
}
_ANY: Final = {
    "NAME": "name_of(capsule).encode()",
    "DELETER": "(16 if versioned(capsule) else 56)",
    "TENSOR": "32 * versioned(capsule)",
}
_LEGACY: Final = {"NAME": 'b"dltensor"', "DELETER": "56", " + TENSOR": ""}
_VERSIONED: Final = {"NAME": 'b"dltensor_versioned"', "DELETER": "16", "TENSOR": "32"}


def _worded(words: Mapping[str, str]) -> dict[str, str]:
    pattern = re.compile("|".join(re.escape(word) + r"\b" for word in words))
    return {name: pattern.sub(lambda found: words[found[0]], text) for name, text in _HELPERS.items()}


#: For a capsule of either kind, and for one of which the kind is known.
HELPERS: Final[Mapping[str, str]] = _worded(_ANY)
_OF_KIND: Final[Mapping[bool | None, Mapping[str, str]]] = {
    None: HELPERS,
    False: _worded(_LEGACY),
    True: _worded(_VERSIONED),
}

_MODULES: Final = ("concurrent.futures", "ctypes", "gc", "ml_dtypes", "os", "struct", "sys", "threading", "weakref")
_IMPORT: Final = re.compile(r"import ([\w., ]+)")
_REFUSED: Final = re.compile(r"^try: (.*)\nexcept Exception: sys\.exit\(\).*$", re.MULTILINE)
_ONLY_EXPORTED: Final = re.compile(r"^a = (np\..*)\ncapsule = a\.(__dlpack__)", re.MULTILINE)
#: Longer lines are no easier to read than two.
_WIDTH: Final = 140


def _calls(text: str) -> set[str]:
    """Return the names of the helpers that a script calls itself."""
    return {name for name in HELPERS if re.search(rf"(?<![\w.]){name}\(", text)}


def _helpers_of(text: str, helpers: Mapping[str, str]) -> list[str]:
    """Return the helpers that a script needs, those that others need first."""
    needed = _calls(text)
    for name in reversed(list(helpers)):
        if name in needed:
            needed |= _calls(helpers[name])
    return [helpers[name] for name in helpers if name in needed]


def _imports(text: str, own: list[str]) -> list[str]:
    """Return one line that imports what a script needs, and the subject's own lines that do more than import."""
    modules = [name for name in _MODULES if re.search(rf"(?<![\w.]){re.escape(name)}\.", text)]
    names = [*modules, *(["numpy as np"] if re.search(r"\bnp\.", text) else [])]
    others: list[str] = []
    for line in own:
        found = _IMPORT.fullmatch(line)
        if found:
            names += [name.strip() for name in found[1].split(",")]
        else:
            others.append(line)
    unique = list(dict.fromkeys(names))
    return [*([f"import {', '.join(unique)}"] if unique else []), *others]


@dataclass(frozen=True, slots=True)
class Script:
    """A check's script for one subject: what goes before, and its two parts."""

    preamble: str
    setup: str
    body: str

    @property
    def text(self) -> str:
        """The whole of it: a program."""
        return "\n".join(part.strip("\n") for part in (self.preamble, self.setup, self.body) if part.strip()) + "\n"


def script_of(check: Check, subject: Subject) -> Script:
    """Write a check's script out to be run."""
    setup = subject.fill("\n".join(part.strip("\n") for part in (check.setup, check.applies) if part.strip()))
    body = subject.fill(check.body.strip("\n"))
    text = f"{setup}\n{body}"
    own = subject.definitions(text)
    whole = "\n".join([*own, *_helpers_of(text, HELPERS), text])
    preamble = [*_imports(whole, subject.imports.splitlines()), *own, *_helpers_of(text, HELPERS)]
    return Script("\n".join(preamble), setup, body)


def reproducer_of(check: Check, subject: Subject, line: int | None = None) -> str:
    """Write a check's script out for a reader, who knows that it applies.

    Without the tests of that, and what only they use; without what comes after the line of its last part that failed;
    with the helpers written out where they are called once.
    """
    body = _until(subject.fill(check.body.strip("\n")), line)
    setup = _without_tests(subject.fill(check.setup.strip("\n")), body)
    text = _exported_at_once("\n".join(part for part in (setup, body) if part))
    kind = subject.versioned if check.role is Role.PRODUCER and _of_one_kind(text, subject) else None
    definitions = [*subject.definitions(text), *_helpers_of(text, _OF_KIND[kind])]
    definitions, text = _inlined(definitions, text)
    whole = "\n".join([*definitions, text])
    own = [each for each in subject.imports.splitlines() if each]
    return "\n".join([*_imports(whole, own), *definitions, text]) + "\n"


def _of_one_kind(text: str, subject: Subject) -> bool:
    """Tell whether every capsule that a script reads is of the kind that the subject exports."""
    exports = re.findall(r"\.__dlpack__\(((?:[^()]|\([^()]*\))*)\)", text)
    return "versioned(" not in text and all(subject.export in arguments for arguments in exports)


def _until(body: str, line: int | None) -> str:
    """Return the statements up to the one with this line: what comes after it never ran."""
    if line is not None:
        ends = [statement.end_lineno or 0 for statement in ast.parse(body).body]
        end = next((end for end in ends if end >= line), None)
        body = "\n".join(body.splitlines()[:end])
    # It wasn't refused: there would be nothing to show.
    return _REFUSED.sub(r"\1", body)


def _without_tests(setup: str, body: str) -> str:
    """Return a setup without its assertions, and without what is assigned and not used."""
    kept: list[str] = []
    used = _names(body)
    for line in reversed(_lines(setup)):
        parts: list[str] = []
        for statement in reversed(line):
            bound = set(_bound(statement))
            if isinstance(statement, ast.Assert) or (bound and not used & bound):
                continue
            parts.insert(0, ast.get_source_segment(setup, statement) or "")
            used |= _names(parts[0])
        if len(parts) == len(line):
            # As it was written, with its comment.
            kept.append("\n".join(setup.splitlines()[line[0].lineno - 1 : line[-1].end_lineno]))
        elif parts:
            kept.append("; ".join(parts))
    return "\n".join(reversed(kept))


def _lines(text: str) -> list[list[ast.stmt]]:
    """Return statements, by the line that they begin in."""
    found: dict[int, list[ast.stmt]] = {}
    for statement in ast.parse(text).body:
        found.setdefault(statement.lineno, []).append(statement)
    return list(found.values())


def _exported_at_once(text: str) -> str:
    """Return a script with the array written where it is exported, if it is named nowhere else."""
    found = _ONLY_EXPORTED.search(text)
    named = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and node.id == "a"]
    if found is None or len(named) != len(("bound", "exported")):
        return text
    return f"{text[: found.start()]}capsule = {found[1]}.{found[2]}{text[found.end() :]}"


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that an assignment binds, or into which it writes; nothing for other statements."""
    for node in ast.walk(statement) if isinstance(statement, ast.Assign) else ():
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield from _names(ast.unparse(node))


def _inlined(definitions: list[str], text: str) -> tuple[list[str], str]:
    """Put lambdas that are called once where they are called; return the others, and the text.

    A definition may call those before it, so the last is first.
    """
    left: list[str] = []
    for definition in reversed(definitions):
        name, _, function = definition.partition(" = ")
        places = [*left, text]
        calling = [index for index, place in enumerate(places) if re.search(rf"(?<![\w.]){name}\(", place)]
        replaced = _replaced(places[calling[0]], name, function) if len(calling) == 1 else None
        if replaced is None:
            left.insert(0, definition)
        else:
            places[calling[0]] = replaced
            *left, text = places
    return left, text


def _replaced(text: str, name: str, function: str) -> str | None:
    """Return a text with a lambda's own text where it is called; None where that isn't once, or can't be."""
    tree, value = ast.parse(text), ast.parse(function, mode="eval").body
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]
    if not isinstance(value, ast.Lambda) or [len(call.args) for call in calls] != [1] or len(value.args.args) != 1:
        return None
    (call,) = calls
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
    if call.keywords or call.lineno != call.end_lineno or any(call in ast.walk(node) for node in strings):
        # Quotes within a string's braces are a syntax error before Python 3.12.
        return None
    parameter, argument = value.args.args[0].arg, ast.get_source_segment(text, call.args[0]) or ""
    uses = [node for node in ast.walk(value.body) if isinstance(node, ast.Name) and node.id == parameter]
    if len(uses) != 1 and not argument.isidentifier():
        return None
    body = ast.get_source_segment(function, value.body) or ""
    body = re.sub(rf"(?<![\w.\"']){parameter}\b(?![\"'])", lambda _: argument, body)
    if isinstance(value.body, ast.Compare | ast.BoolOp | ast.IfExp):
        body = f"({body})"
    lines = text.splitlines()
    old = lines[call.lineno - 1]
    lines[call.lineno - 1] = old[: call.col_offset] + body + old[call.end_col_offset :]
    if len(lines[call.lineno - 1]) > _WIDTH:
        return None
    return "\n".join(lines)
