"""Which checks there are, and the run of those that were asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from interop.testing.conformance import _consuming, _describing, _producing
from interop.testing.conformance._check import Check, Outcome, Result, Role, reproducer_of, script_of
from interop.testing.conformance._execute import Ending, execute, execute_alone, execute_isolated
from interop.testing.conformance._subject import Subject, local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: The checks of a producer.
PRODUCER_CHECKS: Final = (
    *_producing.CALLS,
    *_producing.COPIES,
    *_producing.OWNERSHIP,
    *_describing.DEVICES,
    *_describing.LAYOUTS,
    *_describing.DTYPES,
    *_describing.OTHERS,
    *_describing.EXCHANGE,
)

#: The checks of a consumer.
CONSUMER_CHECKS: Final = (
    *_consuming.CALLS,
    *_consuming.CAPSULES,
    *_consuming.VERSIONS,
    *_consuming.TENSORS,
    *_consuming.DTYPES,
)

#: Which checks run in a process of their own: those that libraries have died of, every one, or none.
Isolation = Literal["risky", "all", "none"]

_PRODUCER_PROBE: Final = 'make(np.ones(2, "float32")).__dlpack__(max_version=(1, 3))'
#: A library may have one element type only, or one number of dimensions.
_MAKE_PROBE: Final = """
said = []
for kind, shape in ("f4", 2), ("f4", (2, 2)), ("f8", 2), ("i4", 2), ("i8", 2), ("u1", 2):
    try: make(np.ones(shape, kind))
    except Exception as error: said.append(f"{type(error).__name__}: {error}")
    else: break
else: raise AssertionError(said[0])
"""
_CONSUMER_PROBE: Final = """
asked = []
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **keywords): asked.append(keywords.get("max_version")); return a.__dlpack__(**keywords)
a = np.ones(2, "float32")
from_dlpack(Producer())
assert asked[-1] is not None and tuple(asked[-1]) >= (1, 0)
"""


def _probed(subject: Subject) -> Subject:
    """Find out how the subject exports, and whether it asks for versions."""
    mine = local(subject)
    if subject.make:
        probe = Check(name="", role=Role.PRODUCER, rule=PRODUCER_CHECKS[0].rule, body=_MAKE_PROBE)
        outcome, said = execute(script_of(probe, mine), subject.objects)
        if outcome is not Outcome.CONFORMANT:
            # Otherwise no rule would apply, and the report would be a clean one.
            raise ValueError(f"{subject.make} makes no array of a numpy array ({said})")
        probe = Check(name="", role=Role.PRODUCER, rule=PRODUCER_CHECKS[0].rule, body=_PRODUCER_PROBE)
        outcome, _ = execute(script_of(probe, mine), subject.objects)
        subject = subject if outcome is Outcome.CONFORMANT else replace(subject, export="")
    if subject.from_dlpack:
        probe = Check(name="", role=Role.CONSUMER, rule=CONSUMER_CHECKS[0].rule, body=_CONSUMER_PROBE)
        outcome, _ = execute(script_of(probe, mine), subject.objects)
        subject = replace(subject, asks_version=outcome is Outcome.CONFORMANT)
    return subject


def _inapplicable(check: Check, subject: Subject, isolate: Isolation) -> str | None:
    lacking = subject.lacks(f"{check.setup}\n{check.body}")
    if lacking:
        return f"no {lacking}= was given"
    if check.versioned and not subject.asks_version:
        return "it asks for legacy capsules only"
    if check.ndim is not None and subject.ndims is not None and check.ndim not in subject.ndims:
        return f"it has no arrays of {check.ndim} dimensions"
    if _isolated(check, isolate) and not subject.portable:
        return (
            "it runs in a process of its own, which can't import what was given: "
            "pass a function of a module, or isolate='none'"
        )
    return None


def _isolated(check: Check, isolate: Isolation) -> bool:
    return isolate == "all" or (check.risky and isolate == "risky")


def run_checks(
    subject: Subject,
    checks: Sequence[Check],
    *,
    isolate: Isolation = "risky",
    upstream: Mapping[str, str] | None = None,
    progress: Callable[[Check], None] = lambda _: None,
) -> list[Result]:
    """Run checks on a subject, and return their results in the same order."""
    subject = _probed(subject)
    mine = local(subject)
    scripts = {check.name: script_of(check, subject) for check in checks}
    endings: dict[str, Ending] = {}
    apart: list[Check] = []
    for check in checks:
        reason = _inapplicable(check, subject, isolate)
        if reason is not None:
            endings[check.name] = (Outcome.NOT_APPLICABLE, reason)
        elif _isolated(check, isolate):
            apart.append(check)
        else:
            progress(check)
            endings[check.name] = execute(script_of(check, mine), subject.objects)
    for check, ending in zip(apart, execute_isolated([scripts[check.name] for check in apart]), strict=True):
        progress(check)
        # Only the end of a process tells what the deleter does after it.
        exits = check.at_exit and ending[0] is Outcome.CONFORMANT
        endings[check.name] = execute_alone(scripts[check.name]) if exits else ending
    return [_result(check, subject, endings[check.name], upstream) for check in checks]


def _result(check: Check, subject: Subject, ending: Ending, upstream: Mapping[str, str] | None) -> Result:
    outcome, seen = ending
    if check.recommended and outcome is Outcome.VIOLATION:
        outcome = Outcome.DISCOURAGED
    return Result(
        check=check,
        subject=subject.name,
        outcome=outcome,
        seen=seen,
        reproducer=reproducer_of(check, subject).text,
        upstream=(upstream or {}).get(check.name, ""),
    )


def chosen(checks: Sequence[Check], names: Iterable[str] | None) -> list[Check]:
    """Return the checks of these names; all of them where none are named."""
    if names is None:
        return list(checks)
    wanted = list(names)
    known = {check.name: check for check in checks}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise ValueError(f"no check is named {', '.join(unknown)}: there are {', '.join(known)}")
    return [known[name] for name in wanted]
