"""Functions that return before they are through: what wraps one is of the same kind, for whoever asks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from interop._agnostic._calls import Call, arguments_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

    from interop._agnostic._how import How


def entered(how: How, given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Call, list[Any], dict[str, Any]]:
    """A call, and what its function gets."""
    call = Call(how)
    inside = call.enter(arguments_of(how, given, named))
    return call, inside[: len(given)], dict(zip(named, inside[len(given) :], strict=True))


def _coroutine(function: Callable[..., Any], how: How) -> Callable[..., Any]:
    async def wrapper(*given: Any, **named: Any) -> Any:
        call, inside, options = entered(how, given, named)
        return call.leave(await function(*inside, **options))

    return wrapper


def _generator(function: Callable[..., Any], how: How) -> Callable[..., Any]:
    def wrapper(*given: Any, **named: Any) -> Generator[Any, Any, Any]:
        call, inside, options = entered(how, given, named)
        generator = function(*inside, **options)
        step, sent = generator.send, None
        try:
            while True:
                try:
                    made = step(sent)
                except StopIteration as end:
                    return call.leave(end.value)
                try:
                    sent = call.sent((yield call.leave(made)))
                    step = generator.send
                except GeneratorExit:
                    raise
                except BaseException as err:  # noqa: BLE001 - whatever the caller throws in is the generator's
                    step, sent = generator.throw, err
        finally:
            generator.close()

    return wrapper


def _async_generator(function: Callable[..., Any], how: How) -> Callable[..., Any]:
    async def wrapper(*given: Any, **named: Any) -> AsyncGenerator[Any, Any]:
        call, inside, options = entered(how, given, named)
        generator = function(*inside, **options)
        step, sent = generator.asend, None
        try:
            while True:
                try:
                    made = await step(sent)
                except StopAsyncIteration:
                    call.leave(None)
                    return
                try:
                    sent = call.sent((yield call.leave(made)))
                    step = generator.asend
                except GeneratorExit:
                    raise
                except BaseException as err:  # noqa: BLE001 - whatever the caller throws in is the generator's
                    step, sent = generator.athrow, err
        finally:
            await generator.aclose()

    return wrapper


#: Kinds of functions that are to be told by what wraps them, too: how each is told, and wrapped.
WRAPPERS: Final = (
    (inspect.iscoroutinefunction, _coroutine),
    (inspect.isasyncgenfunction, _async_generator),
    (inspect.isgeneratorfunction, _generator),
)
