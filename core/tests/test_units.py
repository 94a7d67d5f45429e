"""Sizes and durations: what people write is what we compute."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.errors import InvalidValueError
from novacron.units import format_duration, format_size, parse_duration, parse_size


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


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("7b", 7),
        ("7 B", 7),
        (" 3 KiB ", 3072),
        ("2k", 2048),
        ("2K", 2048),
        ("2kb", 2000),
        ("2KB", 2000),
        ("2KB/s", 2000),
        ("2 Kb /s", 2000),
        ("2KB/S", 2000),
        ("2kib/S", 2048),
        ("1m", 2**20),
        ("1MB", 10**6),
        ("1g", 2**30),
        ("1GB", 10**9),
        ("1t", 2**40),
        ("1TB", 10**12),
        ("1p", 2**50),
        ("1PB", 10**15),
        ("1e", 2**60),
        ("1EB", 10**18),
        ("0.1K", 102),
        ("1.5 MiB", 3 * 2**19),
        ("0.3GB", 300_000_000),
        (1.9, 1),
        (0, 0),
        (0.0, 0),
        (12, 12),
    ],
)
def test_every_unit_has_its_size(text, size):
    assert parse_size(text) == size
    assert type(parse_size(text)) is int


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1025, "1 KiB"),
        (1536, "1.5 KiB"),
        (-1024, "-1 KiB"),
        (-1023, "-1023 B"),
        (10 * 2**20, "10 MiB"),
        (2**30, "1 GiB"),
        (2**40, "1 TiB"),
        (2**50, "1 PiB"),
        (2**60, "1 EiB"),
        (100 * 2**60, "100 EiB"),
        (2**20 - 2**19, "512 KiB"),
    ],
)
def test_sizes_are_shown_in_the_largest_unit_that_fits(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1.5 m", 90.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("2w", 1209600.0),
        ("250ms", 0.25),
        ("250 MS", 0.25),
        ("1h30m", 5400.0),
        ("1h 30m", 5400.0),
        ("1 h 30 m 5 s", 5405.0),
        ("1H", 3600.0),
        (" 5s ", 5.0),
        (0, 0.0),
        (2.5, 2.5),
        (timedelta(minutes=2), 120.0),
    ],
)
def test_every_unit_has_its_duration(text, seconds):
    assert parse_duration(text) == seconds
    assert type(parse_duration(text)) is float


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 ms"),
        (0.0284, "28 ms"),
        (0.999, "999 ms"),
        (1, "1.0 s"),
        (3.25, "3.2 s"),
        (59.94, "59.9 s"),
        (60, "1m00s"),
        (61.9, "1m01s"),
        (3599, "59m59s"),
        (3600, "1h00m00s"),
        (3725, "1h02m05s"),
        (90061, "25h01m01s"),
    ],
)
def test_durations_are_shown_in_units_that_fit(seconds, text):
    assert format_duration(seconds) == text


@given(st.floats(0.001, 10**6))
def test_formatting_a_duration_and_parsing_it_gives_it_back(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05, abs=0.001)


@pytest.mark.parametrize(
    "bad", [timedelta(seconds=-1), True, float("inf"), None, [], "5x", "1h x", "x 1h", "1h,30m", "h", "1..5h"]
)
def test_only_durations_are_durations(bad):
    with pytest.raises(InvalidValueError, match=r"^not a duration: ") as caught:
        parse_duration(bad)
    assert (caught.value.hint, caught.value.outcome) == ('a duration such as "90s"', "not_sent")
    assert repr(bad.total_seconds() if isinstance(bad, timedelta) else bad) in str(caught.value)


@pytest.mark.parametrize(("parse", "word"), [(parse_size, "a size"), (parse_duration, "a duration")])
def test_a_number_of_a_hundred_characters_is_the_longest(parse, word):
    assert parse("0" * 99 + "7") == 7
    with pytest.raises(InvalidValueError, match=word):
        parse("0" * 100 + "7")


@pytest.mark.parametrize("bad", [True, -1, -0.5, float("inf"), None, [], b"2K", "2 GiB x", "x2", "2Gi/h", "2,5G", "1.K"])
def test_only_sizes_are_sizes(bad):
    with pytest.raises(InvalidValueError, match=r"^not a size: ") as caught:
        parse_size(bad)
    assert (caught.value.hint, caught.value.outcome) == ('a size such as "2GiB"', "not_sent")
    assert repr(bad) in str(caught.value)
