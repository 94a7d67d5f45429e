"""Sizes and durations: what people write is what we compute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.units import format_size, parse_duration, parse_size


@given(st.integers(0, 2**60))
def test_an_integer_is_its_own_size(size):
    assert parse_size(size) == parse_size(str(size)) == size


@given(st.integers(0, 1000), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_formatting_a_whole_size_and_parsing_it_gives_it_back(number, unit):
    size = parse_size(f"{number}{unit}")
    assert abs(parse_size(format_size(size)) - size) <= size * 0.05


@pytest.mark.parametrize("bad", ["", "-1", "2 parsecs", "GiB", "1e3", True, -1, float("nan"), float("inf")])
def test_what_is_no_size_is_refused(bad):
    with pytest.raises(ValueError, match="not a size"):
        parse_size(bad)


@pytest.mark.parametrize("bad", ["", "-1", "soon", "5 parsecs", True, -1, float("nan")])
def test_what_is_no_duration_is_refused(bad):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(bad)
