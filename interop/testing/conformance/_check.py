"""What a check is: a rule, and a script in plain Python that fails where the rule is broken.

The script is at once what the kit runs and the reproducer that it prints: `_script` writes it out for either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from interop.testing.conformance._rules import Rule


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
    #: It may say something, and what the check needs for that wasn't to be had; the reason is told.
    NOT_TESTED = "not tested"


#: The outcomes that say that the rule is broken.
BROKEN: Final = frozenset({Outcome.VIOLATION, Outcome.CRASH})


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
        The script's first part. What fails here says that the rule doesn't apply: the message is the reason. Where
        that starts with "not tested:", it may apply, and there were no means to see.
    applies
        The second part, of which the same is true, and that isn't printed: it only finds out whether the rule applies.
    body
        The last part. What fails here is a violation.
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
    applies: str = ""
    body: str
    risky: bool = False
    at_exit: bool = False
    recommended: bool = False
    versioned: bool = False
    ndim: int | None = None


def check(role: Role, name: str, rule: Rule, setup: str, body: str, *, must: bool = True, **more: Any) -> Check:
    """Make a check as the tables write it: named by its side, and a recommendation where it isn't a must."""
    prefix = "export" if role is Role.PRODUCER else "import"
    return Check(name=f"{prefix}-{name}", role=role, rule=rule, setup=setup, body=body, recommended=not must, **more)


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
        return self.outcome in BROKEN

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
        if self.broken or self.outcome is Outcome.DISCOURAGED:
            lines += [f"the rule: {self.check.rule.text}", f"    {self.check.rule}", f"    {self.check.rule.url}"]
            lines += [f"upstream: {self.upstream}"] if self.upstream else []
            lines += ["to reproduce:", *(f"    {line}" for line in self.reproducer.splitlines())]
        return "\n".join(lines)
