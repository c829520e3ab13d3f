"""What makes numbers of what pyarrow holds else: the calls that a refusal names, for the very object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

#: Indices into a dictionary are from 0 on.
_NO_INDEX: Final = -1


def calls_for(x: Any, text: str = "x") -> list[str]:
    """Calls each of which makes one array of numbers of an array, a chunked array or a table; none where none does.

    Parameters
    ----------
    x
        The object.
    text
        What spells it.
    """
    if isinstance(x, (pa.Table, pa.RecordBatch)):
        names = x.schema.names
        spelled = [repr(name) if names.count(name) == 1 else str(i) for i, name in enumerate(names)]
        columns = next(filter(None, (calls_for(x[i], f"{text}[{spell}]") for i, spell in enumerate(spelled))), [])
        return [*columns, *([f"{text}.to_tensor()"] if _is_matrix(x) else [])]
    if not isinstance(x, pa.ChunkedArray):
        return _calls(x, text)
    # Of all chunks the one with the most to mend: one has nulls and another one hasn't.
    chunks = x.chunks or [pa.array([], x.type)]
    if not any(question(x.type) for question in _WHOLE):
        text = f"{text}.combine_chunks()"
    return max((_calls(chunk, text) for chunk in chunks), key=len)


def _is_matrix(x: Any) -> bool:
    """Whether Arrow itself makes a tensor of it."""
    numbers = all(pa.types.is_integer(tp) or pa.types.is_floating(tp) for tp in x.schema.types)
    return isinstance(x, pa.RecordBatch) and x.num_columns > 0 and numbers and not any(c.null_count for c in x.columns)


#: Types whose chunked arrays have every method that is called here.
_WHOLE: Final[tuple[Callable[[Any], bool], ...]] = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_temporal,
    pa.types.is_decimal,
    pa.types.is_null,
)


def _calls(x: Any, text: str) -> list[str]:
    if isinstance(x, pa.FixedShapeTensorArray):
        return _calls_for_tensors(x, text)
    if isinstance(x, pa.ExtensionArray):
        return _calls(x.storage, f"{text}.storage")
    return next((calls(x, text) for question, calls in _BY_TYPE if question(x.type)), [])


def _calls_for_tensors(x: Any, text: str) -> list[str]:
    inner = x.storage.flatten()
    if not pa.types.is_primitive(x.type.value_type) or inner.null_count:
        return _calls(inner, f"{text}.storage.flatten()")
    return [f"{text}.drop_null()"] if x.null_count else [text]


def _of_indices(x: Any, text: str) -> list[str]:
    if not x.null_count:
        return [f"{text}.indices", *_calls(x.dictionary, f"{text}.dictionary_decode()")]
    signed = pa.types.is_signed_integer(x.type.index_type)
    return [*([f"{text}.indices.fill_null({_NO_INDEX})"] if signed else []), f"{text}.indices.drop_null()"]


def _of_lists(x: Any, text: str) -> list[str]:
    return _calls(x.flatten(), f"{text}.flatten()")


def _of_maps(x: Any, text: str) -> list[str]:
    return _calls(x.items, f"{text}.items") or _calls(x.keys, f"{text}.keys")


def _of_fields(x: Any, text: str) -> list[str]:
    fields = range(x.type.num_fields)
    return next(filter(None, (_calls(x.field(i), f"{text}.field({i})") for i in fields)), [])


def _of_runs(x: Any, text: str) -> list[str]:
    return _calls(x.values, f"pyarrow.compute.run_end_decode({text})")


def _as(cast: Callable[[Any], str]) -> Callable[[Any, str], list[str]]:
    return lambda x, text: _without_nulls(x, f"{text}.cast({cast(x.type)!r})", floating=cast(x.type) == "float64")


def _without_nulls(x: Any, text: str, *, floating: bool) -> list[str]:
    if not x.null_count:
        return [text]
    # Not safe: what is beyond 2**53 is rounded.
    nan = text if floating else f"{text}.cast('float64', safe=False)"
    return [f"{text}.fill_null(0)", f"{nan}.fill_null(float('nan'))", f"{text}.drop_null()"]


def _of_numbers(x: Any, text: str) -> list[str]:
    return _without_nulls(x, text, floating=pa.types.is_floating(x.type))


def _of_booleans(x: Any, text: str) -> list[str]:
    return [f"{text}.fill_null(False)", f"{text}.drop_null()"] if x.null_count else [text]


def _nothing(_x: Any, _text: str) -> list[str]:
    return []


_LISTS: Final = tuple(
    question
    for name in ("is_fixed_size_list", "is_list", "is_large_list", "is_list_view", "is_large_list_view")
    if (question := getattr(pa.types, name, None)) is not None
)

#: By the question that finds the type.
_BY_TYPE: Final[tuple[tuple[Callable[[Any], bool], Callable[[Any, str], list[str]]], ...]] = (
    (pa.types.is_integer, _of_numbers),
    (pa.types.is_floating, _of_numbers),
    (pa.types.is_boolean, _of_booleans),
    (pa.types.is_interval, _nothing),
    (pa.types.is_temporal, _as(lambda tp: f"int{tp.bit_width}")),
    (pa.types.is_decimal, _as(lambda _: "float64")),
    (pa.types.is_null, lambda _, text: [f"{text}.cast('float64').fill_null(0)"]),
    (pa.types.is_dictionary, _of_indices),
    *((question, _of_lists) for question in _LISTS),
    (pa.types.is_map, _of_maps),
    (pa.types.is_run_end_encoded, _of_runs),
    (pa.types.is_struct, _of_fields),
    (pa.types.is_union, _of_fields),
)
