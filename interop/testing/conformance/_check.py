"""What a check is: a rule, and a script in plain Python that fails where the rule is broken.

The script is at once what the kit runs and the reproducer that it prints, so the two can't differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop.testing.conformance._rules import Rule
    from interop.testing.conformance._subject import Subject


class Role(Enum):
    """Which side of the exchange a check is about."""

    PRODUCER = "producer"
    CONSUMER = "consumer"


class Outcome(Enum):
    """How a check ended."""

    #: The rule is kept.
    CONFORMANT = "conformant"
    #: The rule is broken.
    VIOLATION = "violation"
    #: The rule is broken: the process died.
    CRASH = "crash"
    #: What a specification recommends isn't done. That is no violation.
    DISCOURAGED = "discouraged"
    #: The rule says nothing about this library; the reason is told.
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of one rule.

    Parameters
    ----------
    name
        What it is called: in reports, and to choose it.
    role
        The side that it is about.
    rule
        What it tests.
    setup
        The script's first part. What fails here says that the rule doesn't apply: the message is the reason.
    body
        The second part. What fails here is a violation.
    risky
        Whether libraries have died of it, so that it runs in a process of its own.
    at_exit
        Whether what it shows comes when the interpreter ends, so that it shares its process with no other check.
    recommended
        Whether the rule is a recommendation only.
    versioned
        Whether it needs a consumer that asks for versioned capsules.
    ndim
        The number of dimensions that a consumer must have, where some haven't.
    """

    name: str
    role: Role
    rule: Rule
    setup: str = ""
    body: str
    risky: bool = False
    at_exit: bool = False
    recommended: bool = False
    versioned: bool = False
    ndim: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How one check ended for one library.

    Parameters
    ----------
    check
        The check.
    subject
        The library's name.
    outcome
        How it ended.
    seen
        What was seen instead of what the rule asks for, or why the check doesn't apply; empty where all is well.
    reproducer
        A program in plain Python, without this library, that shows it.
    upstream
        Where the library's authors know of it, if that is known here.
    """

    check: Check = field(repr=False)
    subject: str
    outcome: Outcome
    seen: str
    reproducer: str = field(repr=False)
    upstream: str = ""

    @property
    def name(self) -> str:
        """The check's name."""
        return self.check.name

    @property
    def broken(self) -> bool:
        """Whether the rule is broken."""
        return self.outcome in (Outcome.VIOLATION, Outcome.CRASH)

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        rule = self.check.rule
        return {
            "check": self.name,
            "role": self.check.role.value,
            "outcome": self.outcome.value,
            "seen": self.seen,
            "rule": rule.text,
            "spec": str(rule),
            "url": rule.url,
            "upstream": self.upstream,
            "reproducer": self.reproducer if self.broken or self.outcome is Outcome.DISCOURAGED else "",
        }

    def __str__(self) -> str:
        lines = [f"{self.subject}, {self.check.role.value}: {self.name}: {self.outcome.value}: {self.seen}"]
        if self.outcome not in (Outcome.CONFORMANT, Outcome.NOT_APPLICABLE):
            lines += [f"the rule: {self.check.rule.text}", f"    {self.check.rule}", f"    {self.check.rule.url}"]
            lines += [f"upstream: {self.upstream}"] if self.upstream else []
            lines += ["to reproduce:", *(f"    {line}" for line in self.reproducer.splitlines())]
        return "\n".join(lines)


#: What scripts may call, in the order in which it is written out. A script has only what it calls.
HELPERS: Final[Mapping[str, str]] = {
    "pointer": "pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)"
    '(("PyCapsule_GetPointer", ctypes.pythonapi))',
    "rename": "rename = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)"
    '(("PyCapsule_SetName", ctypes.pythonapi))',
    "name_of": "name_of = lambda capsule: repr(capsule).split('\"')[1]",
    "versioned": 'versioned = lambda capsule: "versioned" in name_of(capsule)',
    # DLManagedTensor, DLManagedTensorVersioned
    "address": "address = lambda capsule: pointer(capsule, name_of(capsule).encode())",
    "version_of": "version_of = lambda capsule: tuple("
    '(ctypes.c_uint32 * 2).from_address(pointer(capsule, b"dltensor_versioned")))',
    "flags_of": "flags_of = lambda capsule: ctypes.c_uint64.from_address("
    'pointer(capsule, b"dltensor_versioned") + 24).value',
    "deleter_of": "deleter_of = lambda capsule: ctypes.c_void_p.from_address("
    "address(capsule) + (16 if versioned(capsule) else 56))",
    # DLTensor
    "tensor": "tensor = lambda capsule: pointer(capsule, name_of(capsule).encode()) + "
    '32 * ("versioned" in name_of(capsule))',
    "read": "read = lambda capsule: struct.unpack("
    '"PiiiBBHPPQ", ctypes.string_at(tensor(capsule), 48)'
    ")  # data, device, ndim, dtype, shape, strides, byte_offset",
    "values": """\
def values(capsule, kind=ctypes.c_float):  # the elements in C order
    data, device, _, ndim, *_, shape, strides, offset = read(capsule)
    assert device in (1, 3, 11, 13), f"memory on device {device} can't be looked at"
    sides = list((ctypes.c_int64 * ndim).from_address(shape))
    steps = list((ctypes.c_int64 * ndim).from_address(strides)) if strides else np.cumprod([1, *sides[:0:-1]])[::-1]
    at = lambda index: data + offset + ctypes.sizeof(kind) * sum(int(i * step) for i, step in zip(index, steps))
    return [kind.from_address(at(index)).value for index in np.ndindex(*sides)]""",
    "memory": 'memory = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")',
    "api_of": 'api_of = lambda tp: pointer(tp.__dlpack_c_exchange_api__, b"dlpack_exchange_api")',
    "functions": 'functions = lambda tp: struct.unpack("5P", ctypes.string_at(api_of(tp) + 16, 40))'
    "  # allocate, export, receive, lend, stream",
}

_MODULES: Final = ("ctypes", "gc", "os", "struct", "sys", "threading", "weakref")
_NUMPY: Final = re.compile(r"\bnp\.")
_POOL: Final = "ThreadPoolExecutor"


def _calls(text: str) -> set[str]:
    """Return the names of the helpers that a script calls itself."""
    return {name for name in HELPERS if re.search(rf"(?<![\w.]){name}\(", text)}


def _helpers_of(text: str) -> list[str]:
    """Return the helpers that a script needs, those that others need first."""
    needed = _calls(text)
    for name in reversed(list(HELPERS)):
        if name in needed:
            needed |= _calls(HELPERS[name])
    return [HELPERS[name] for name in HELPERS if name in needed]


def preamble(text: str, subject: Subject) -> str:
    """Return what goes before a script: imports, what the subject needs, and the helpers that it names."""
    helpers = _helpers_of(text)
    own = subject.preamble(text)
    whole = "\n".join([*own, *helpers, text])
    modules = [name for name in _MODULES if re.search(rf"\b{name}\.", whole)]
    lines = [f"import {', '.join(modules)}"] if modules else []
    lines += [f"from concurrent.futures import {_POOL}"] if _POOL in whole else []
    lines += ["import numpy as np"] if _NUMPY.search(whole) and "import numpy as np" not in own else []
    return "\n".join([*lines, *own, *helpers])


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
    """Write a check's script out for a subject."""
    setup, body = subject.fill(check.setup.strip("\n")), subject.fill(check.body.strip("\n"))
    return Script(preamble(f"{setup}\n{body}", subject), setup, body)


def reproducer_of(check: Check, subject: Subject) -> Script:
    """Write a check's script out for a reader, who knows that it applies: without the tests of that."""
    lines = (line for line in check.setup.splitlines() if not line.startswith("assert "))
    return script_of(replace(check, setup="\n".join(lines)), subject)
