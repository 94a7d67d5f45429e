"""Keys of consoles by name."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron.errors import InvalidSpecError
from novacron.keys import KEYS, MODIFIERS, combination, combinations_of


def test_no_two_keys_have_the_same_code():
    """But the digits and letters, nothing is in the tables by a rule."""
    everything = [*KEYS.values(), *MODIFIERS.values()]
    assert len({key.linux for key in everything}) == len({key.usb for key in everything}) == len(everything)


@given(st.text(string.printable.rstrip("\r\x0b\x0c"), max_size=40))
def test_each_character_is_one_combination_that_exists(text):
    typed = combinations_of(text)
    assert len(typed) == len(text)
    assert all(len(combination(each)) <= 2 for each in typed)


@pytest.mark.parametrize("text", ["", "-", "ctrl-", "-a", "a-ctrl", "ctrl--a", "é", "ctrl+alt", "a b", "f13"])
def test_unknown_keys_are_refused(text):
    with pytest.raises(InvalidSpecError):
        combination(text)


@pytest.mark.parametrize("text", ["é", "\x00", "a\x1b"])
def test_a_text_that_the_keyboard_lacks_is_refused_without_repeating_it(text):
    """It may be a password."""
    with pytest.raises(InvalidSpecError) as caught:
        combinations_of(text)
    assert text not in str(caught.value)
