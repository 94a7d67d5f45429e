"""The keys of a keyboard by name, for consoles: "ctrl-alt-delete", "f2", "a".

The codes are Linux's input event codes (input-event-codes.h) and the usages of USB keyboards (USB HID Usage Tables, page 7).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import described


class Key(NamedTuple):
    """A key: its code in Linux, and its usage of a USB keyboard."""

    linux: int
    usb: int


MODIFIERS = {
    "ctrl": Key(29, 0xE0),
    "shift": Key(42, 0xE1),
    "alt": Key(56, 0xE2),
    "meta": Key(125, 0xE3),
    "altgr": Key(100, 0xE6),
}
"""Keys that are held down while another one is pressed."""
_LETTERS = {16: "qwertyuiop", 30: "asdfghjkl", 44: "zxcvbnm"}
"""The rows of letters by the code of their first key in Linux."""
KEYS = {
    **{
        letter: Key(first + place, 0x04 + ord(letter) - ord("a"))
        for first, row in _LETTERS.items()
        for place, letter in enumerate(row)
    },
    **{digit: Key(2 + place, 0x1E + place) for place, digit in enumerate("1234567890")},
    **{f"f{number}": Key(58 + number, 0x39 + number) for number in range(1, 11)},
    "f11": Key(87, 0x44),
    "f12": Key(88, 0x45),
    "enter": Key(28, 0x28),
    "esc": Key(1, 0x29),
    "backspace": Key(14, 0x2A),
    "tab": Key(15, 0x2B),
    "space": Key(57, 0x2C),
    "minus": Key(12, 0x2D),
    "equal": Key(13, 0x2E),
    "leftbrace": Key(26, 0x2F),
    "rightbrace": Key(27, 0x30),
    "backslash": Key(43, 0x31),
    "semicolon": Key(39, 0x33),
    "apostrophe": Key(40, 0x34),
    "grave": Key(41, 0x35),
    "comma": Key(51, 0x36),
    "dot": Key(52, 0x37),
    "slash": Key(53, 0x38),
    "capslock": Key(58, 0x39),
    "sysrq": Key(99, 0x46),
    "pause": Key(119, 0x48),
    "insert": Key(110, 0x49),
    "home": Key(102, 0x4A),
    "pageup": Key(104, 0x4B),
    "delete": Key(111, 0x4C),
    "end": Key(107, 0x4D),
    "pagedown": Key(109, 0x4E),
    "right": Key(106, 0x4F),
    "left": Key(105, 0x50),
    "down": Key(108, 0x51),
    "up": Key(103, 0x52),
}
OTHER_NAMES = {
    "del": "delete",
    "escape": "esc",
    "return": "enter",
    "ret": "enter",
    "control": "ctrl",
    "win": "meta",
    "super": "meta",
}
_PLAIN = {
    " ": "space",
    "-": "minus",
    "=": "equal",
    "[": "leftbrace",
    "]": "rightbrace",
    "\\": "backslash",
    ";": "semicolon",
    "'": "apostrophe",
    "`": "grave",
    ",": "comma",
    ".": "dot",
    "/": "slash",
    "\t": "tab",
    "\n": "enter",
}
"""Characters and the keys that type them."""
_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))
"""Characters that are typed with shift, and what the same key gives without it, on a US keyboard."""


def combination(text: str) -> tuple[Key, ...]:
    """Return the keys of a combination, modifiers first.

    Args:
        text: names of keys with `-` between them; all but the last are modifiers.

    Raises:
        InvalidSpecError: a name is unknown.

    Example:
        >>> [key.linux for key in combination("ctrl-alt-del")], combination("F2")
        ([29, 56, 111], (Key(linux=60, usb=59),))
    """
    *modifiers, last = [OTHER_NAMES.get(name, name) for name in str(text).lower().split("-")]
    unknown = [name for name in modifiers if name not in MODIFIERS]
    if unknown or last not in KEYS | MODIFIERS:
        allowed = f"modifiers ({', '.join(MODIFIERS)}), then one of {', '.join(KEYS)}"
        problem = SpecProblem("keys", described(text), allowed)
        raise InvalidSpecError("no such key", problems=[problem], hint="such as ctrl-alt-delete, f2 or enter", outcome="not_sent")
    return (*(MODIFIERS[name] for name in modifiers), (KEYS | MODIFIERS)[last])


def combinations_of(text: str) -> list[str]:
    """Return the combinations that type a text on a US keyboard.

    Raises:
        InvalidSpecError: the keyboard has no key for a character.

    Example:
        >>> combinations_of("Hi!\\n")
        ['shift-h', 'i', 'shift-1', 'enter']
    """
    return [_typed(character) for character in text]


def _typed(character: str) -> str:
    if character in _SHIFTED:
        return f"shift-{_typed(_SHIFTED[character])}"
    if character.lower() in KEYS and len(character.lower()) == 1:
        return character if character == character.lower() else f"shift-{character.lower()}"
    if character not in _PLAIN:
        problem = SpecProblem("text", "a character", "what a US keyboard types: ASCII, tab and line end")
        raise InvalidSpecError("a text that can't be typed", problems=[problem], outcome="not_sent")
    return _PLAIN[character]


def linux_codes(combinations: Iterable[str]) -> list[list[int]]:
    """Return the Linux codes of combinations, checked all together before any is sent. Raises InvalidSpecError."""
    return [[key.linux for key in combination(each)] for each in combinations]


__all__ = ["KEYS", "MODIFIERS", "Key", "combination", "combinations_of", "linux_codes"]
