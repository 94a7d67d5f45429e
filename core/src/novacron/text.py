"""Makes foreign text safe to show, and rejects control characters in text that a user gives.

Names, agent output, errors and event texts may hold terminal control sequences.
"""

from __future__ import annotations

import re
import unicodedata

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_SEPARATORS = "\u2028\u2029"
_SURROGATES = "\ud800-\udfff"
_UNSAFE = f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}{_LINE_SEPARATORS}{_SURROGATES}]"
_UNSAFE_IN_LINE = f"[\x00-\x1f\x7f-\x9f{_BIDI}{_LINE_SEPARATORS}{_SURROGATES}]"
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str) -> str:
    r"""Return text with control characters written as escapes, so that a terminal shows them and obeys none.

    Escaped are the C0 and C1 controls except newline and tab, bidirectional overrides and marks, line separators and lone surrogates.

    Example:
        >>> printable("web1\x1b]0;owned\x07"), printable("two\nlines"), printable("a\u202eb")
        ('web1\\x1b]0;owned\\x07', 'two\nlines', 'a\\u202eb')
    """
    return text if _is_plain(text) else re.sub(_UNSAFE, _escaped, text)


def printable_line(text: str) -> str:
    r"""Return text as `printable` does, newlines and tabs escaped too: for cells of a table and names within a sentence.

    Example:
        >>> printable_line("web1\nweb2")
        'web1\\nweb2'
    """
    return text if _is_plain(text) else re.sub(_UNSAFE_IN_LINE, _escaped, text)


def escaped_json(text: str) -> str:
    r"""Return JSON text with the unsafe characters that JSON allows in strings written as \u escapes. The value stays the same.

    Example:
        >>> escaped_json('{"name":"a\x9b\u202eb"}')
        '{"name":"a\\u009b\\u202eb"}'
    """
    return re.sub(_UNSAFE, lambda match: f"\\u{ord(match[0]):04x}", text)


def unprintable(text: str, *, lines: bool = False, data: bool = False) -> str:
    """Return what is wrong with the characters of a text that a user gives; "" if nothing is.

    Args:
        text: the text.
        lines: it may have several lines and tabs.
        data: it may have any character but NUL.

    Example:
        >>> unprintable("web1"), unprintable("web1\\x9b2J"), unprintable("two\\nlines", lines=True)
        ('', 'text without control characters', '')
    """
    if _is_plain(text):
        return ""
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return "valid Unicode"
    if "\0" in text:
        return "text without a NUL character"
    allowed = "\n\r\t" if lines else ""
    if not data and any(_is_control(c) and c not in allowed for c in text):
        return "text without control characters"
    return ""


def _is_plain(text: str) -> bool:
    """Return quickly that a text is safe. Most texts are; a listing needs no regular expression, and compiles none."""
    return text.isascii() and text.isprintable()


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


__all__ = ["escaped_json", "printable", "printable_line", "unprintable"]
