"""Which checks there are, and the run of those that were asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from interop.testing.conformance import _consuming, _describing, _exchanging, _owning, _producing, _reading
from interop.testing.conformance._check import Check, Outcome, Result, Role
from interop.testing.conformance._execute import TIMEOUT, Ending, execute, execute_alone, execute_isolated, unused
from interop.testing.conformance._script import reproducer_of, script_of
from interop.testing.conformance._subject import Subject, local

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: The checks of a producer.
PRODUCER_CHECKS: Final = (
    *_producing.CALLS,
    *_producing.COPIES,
    *_owning.OWNERSHIP,
    *_describing.DEVICES,
    *_describing.LAYOUTS,
    *_describing.DTYPES,
    *_describing.OTHERS,
    *_exchanging.EXCHANGE,
)

#: The checks of a consumer.
CONSUMER_CHECKS: Final = (
    *_consuming.CALLS,
    *_consuming.CAPSULES,
    *_consuming.VERSIONS,
    *_reading.TENSORS,
    *_reading.DTYPES,
)

#: Which checks run in a process of their own: those that libraries have died of, every one, or none.
Isolation = Literal["risky", "all", "none"]

#: A library may have one element type only, or one number of dimensions.
_MAKES: Final = """
said = []
for kind, shape in ("f4", 2), ("f4", (2, 2)), ("f8", 2), ("i4", 2), ("i8", 2), ("u1", 2):
    try: made = make(np.ones(shape, kind))
    except Exception as error: said.append(f"{type(error).__name__}: {error}")
    else: break
else: raise AssertionError(said[0])
assert hasattr(made, "__dlpack__"), f"a {type(made).__name__} has no __dlpack__"
"""
_TAKES_VERSION: Final = 'make(np.ones(2, "float32")).__dlpack__(max_version=(1, 3))'
_VERSIONED: Final = f'assert "versioned" in repr({_TAKES_VERSION})'
_INDEXES: Final = 'make(np.ones(2, "float32"))[::2]'
#: A library may have no arrays of so many dimensions: then it needn't take any.
_MANY: Final = 9
_MAKES_MANY: Final = f"""
made = make(np.ones((1,) * {_MANY}, "float32"))
assert tuple(getattr(made, "shape", (1,) * {_MANY})) == (1,) * {_MANY}
"""
_ASKS_VERSION: Final = """
asked = []
class Producer:
    def __dlpack_device__(self): return (1, 0)
    def __dlpack__(self, **keywords): asked.append(keywords.get("max_version")); return a.__dlpack__(**keywords)
a = np.ones(2, "float32")
from_dlpack(Producer())
assert asked[-1] is not None and tuple(asked[-1]) >= (1, 0)
"""


def _probed(subject: Subject, isolate: Isolation, seconds: float) -> Subject:
    """Find out how the subject exports, whether its arrays can be sliced, what they can be, and whether it asks."""
    probes = ([_MAKES, _TAKES_VERSION, _VERSIONED, _INDEXES, _MAKES_MANY] if subject.make else []) + (
        [_ASKS_VERSION] if subject.from_dlpack else []
    )
    blank = Check(name="", role=Role.PRODUCER, rule=PRODUCER_CHECKS[0].rule, body="")
    checks = [replace(blank, body=body) for body in probes]
    if isolate == "all" and subject.portable:
        endings = execute_isolated([script_of(check, subject) for check in checks], seconds)
    else:
        mine = local(subject)
        endings = [execute(script_of(check, mine), subject.objects) for check in checks]
    told = dict(zip(probes, endings, strict=True))
    right = {body: ending.outcome is Outcome.CONFORMANT for body, ending in told.items()}
    if subject.make:
        if not right[_MAKES]:
            # Otherwise no rule would apply, and the report would be a clean one.
            raise ValueError(f"{subject.make} makes no array of a numpy array ({told[_MAKES].seen})")
        export = subject.export if right[_TAKES_VERSION] else ""
        subject = replace(subject, export=export, versioned=right[_VERSIONED], indexes=right[_INDEXES])
        if subject.ndims is None and not right[_MAKES_MANY]:
            subject = replace(subject, ndims=tuple(range(_MANY)))
    if subject.from_dlpack:
        subject = replace(subject, asks_version=right[_ASKS_VERSION])
    return subject


def _inapplicable(check: Check, subject: Subject, isolate: Isolation) -> str | None:
    lacking = subject.lacks(f"{check.setup}\n{check.applies}\n{check.body}")
    if lacking:
        return f"not tested: no {lacking}= was given"
    if check.versioned and not subject.asks_version:
        return "it asks for legacy capsules only"
    if check.ndim is not None and subject.ndims is not None and check.ndim not in subject.ndims:
        return f"it has no arrays of {check.ndim} dimensions"
    if _isolated(check, isolate) and not subject.portable:
        return (
            "not tested: it runs in a process of its own, which can't import what was given: "
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
    timeout: float = TIMEOUT,
    upstream: Mapping[str, str] | None = None,
    progress: Callable[[Check], None] = lambda _: None,
) -> list[Result]:
    """Run checks on a subject, and return their results in the same order."""
    subject = _probed(subject, isolate, timeout)
    mine = local(subject)
    endings: dict[str, Ending] = {}
    apart: list[Check] = []
    for check in checks:
        reason = _inapplicable(check, subject, isolate)
        if reason is not None:
            endings[check.name] = unused(reason)
        elif _isolated(check, isolate):
            apart.append(check)
        else:
            progress(check)
            endings[check.name] = execute(script_of(check, mine), subject.objects)
    # Those that libraries die of come last: what they corrupt, the others don't read.
    apart.sort(key=lambda check: check.risky)
    scripts = [script_of(check, subject) for check in apart]
    risky = {index for index, check in enumerate(apart) if check.risky}
    ended = execute_isolated(scripts, timeout, lambda index: progress(apart[index]), corrupting=risky)
    for check, script, ending in zip(apart, scripts, ended, strict=True):
        # Only the end of a process tells what the deleter does after it.
        exits = check.at_exit and ending.outcome is Outcome.CONFORMANT
        endings[check.name] = execute_alone(script, timeout) if exits else ending
    return [_result(check, subject, endings[check.name], upstream) for check in checks]


def _result(check: Check, subject: Subject, ending: Ending, upstream: Mapping[str, str] | None) -> Result:
    outcome = ending.outcome
    if check.recommended and outcome is Outcome.VIOLATION:
        outcome = Outcome.DISCOURAGED
    return Result(
        check=check,
        subject=subject.name,
        outcome=outcome,
        seen=ending.seen,
        reproducer=reproducer_of(check, subject, ending.line),
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
