"""A reading goes to every library and comes back, and never as what it isn't."""

import gauges
import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as its

import interop
from interop.testing import assert_identical

series = arrays.arrays(np.float32, its.integers(0, 9), elements=its.floats(width=32, allow_nan=False))


def test_it_joined_by_being_installed() -> None:
    known = interop.adapters()["gauges"]
    assert known.origin == "entry point of gauges"
    assert (known.installed, known.problem) == (True, "")


def test_its_memory_is_handed_over() -> None:
    reading = gauges.Reading(np.arange(4.0))
    array = interop.to_numpy(reading)
    array[0] = 8
    assert reading.samples[0] == 8
    assert interop.framework(reading) == "gauges"
    assert interop.explain(reading, "numpy").zero_copy


@given(series, its.sampled_from([1.0, 2.0, -0.5]))
def test_its_values_cross(samples: np.ndarray, gain: float) -> None:
    reading = gauges.Reading(samples, gain)
    plan = interop.explain(reading, "numpy")
    assert plan.zero_copy == (gain == 1)
    assert_identical(interop.to_numpy(reading), reading.values())


@given(series)
def test_there_and_back(samples: np.ndarray) -> None:
    reading = interop.convert(samples, "gauges")
    assert type(reading) is gauges.Reading
    assert interop.shares_memory(reading, samples) or samples.size == 0
    assert_identical(interop.to_numpy(reading), samples)


def test_a_sealed_reading_stays_sealed() -> None:
    reading = gauges.Reading(np.arange(4.0), sealed=True)
    assert not interop.to_numpy(reading).flags.writeable
    assert interop.to_numpy(reading, writable=True).flags.writeable
    with pytest.raises(interop.ReadOnlyError):
        interop.to_numpy(reading, writable=True, copy=False)


def test_what_it_cant_hold_is_refused() -> None:
    with pytest.raises(interop.UnsupportedError, match="1 dimensions"):
        interop.convert(np.ones((2, 2)), "gauges")
    with pytest.raises(interop.DTypeError, match=r"dtype='float64'\) rounds"):
        interop.convert(np.arange(3), "gauges")
    assert len(interop.convert(np.arange(3), "gauges", dtype="float32")) == 3
    with pytest.raises(interop.CopyError):
        interop.to_numpy(gauges.Reading(np.arange(4.0), 2.0), copy=False)


@interop.via("numpy", back="x")
def above(x, floor):
    """What of `x` lies above a floor: a function for numpy, called with readings."""
    return np.maximum(x - floor, 0)


@given(series, its.sampled_from([1.0, 2.0]))
def test_a_function_for_numpy_takes_readings_and_gives_them_back(samples: np.ndarray, gain: float) -> None:
    reading = gauges.Reading(samples, gain, unit="V")
    result = above(reading, gauges.Reading(samples[:1].copy(), unit="mV") if len(samples) else 0)
    assert type(result) is gauges.Reading
    assert result.unit == "V"
    if len(samples):
        assert_identical(result.values(), np.maximum(reading.values() - samples[:1], 0))


def test_its_unit_stays_in_the_family() -> None:
    reading = gauges.Reading(np.arange(4.0), unit="V")
    assert interop.convert(reading, "gauges", copy=True).unit == "V"
    assert interop.convert(reading, "gauges", dtype="float32").unit == "V"
    assert interop.convert(np.arange(4.0), "gauges").unit == ""


def test_mixed_company_is_refused_unless_somebody_is_followed() -> None:
    reading = gauges.Reading(np.arange(4.0), unit="V")

    @interop.via("numpy")
    def difference(x, y):
        return x - y

    with pytest.raises(interop.UnsupportedError, match="back='x'"):
        difference(reading, np.ones(4))
    assert above(reading, np.ones(4)).unit == "V"


def test_a_second_call_gives_what_the_first_one_gave() -> None:
    """What is learned of one reading is applied to others of its kind, and to no other."""
    for _ in range(3):
        for samples in (np.arange(4.0), np.arange(8.0, dtype="f4")[::2], np.arange(3), np.ones((2, 2))):
            for gain in (1.0, 2.0):
                for sealed in (False, True):
                    reading = gauges.Reading(samples, gain, sealed=sealed)
                    array = interop.to_numpy(reading)
                    assert_identical(array, reading.values())
                    assert np.shares_memory(array, samples) == (gain == 1)
                    assert array.flags.writeable == (gain != 1 or not sealed)
