"""Finds out where the cursor is in unfinished Python: within which string, brackets, call and argument."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

OPENING, CLOSING = "([{", ")]}"
_EXPRESSION_END = re.compile(r"[\w\])\"'}]$")
_KEYWORD = re.compile(r"\s*(\w+)\s*=(?!=)\s*$")


@dataclass
class Bracket:
    """An open bracket.

    Attributes:
        kind: "(", "[" or "{".
        owner: the expression before it, such as `host.vms.create`; empty for a list or a group.
        argument: where its current argument begins.
        given: names of the keyword arguments that are complete.
        position: how many arguments are complete.
    """

    kind: str
    owner: str
    argument: int
    given: list[str] = field(default_factory=list)
    position: int = 0


@dataclass
class Place:
    """Where the cursor is.

    Attributes:
        quote: the quotation marks of the string that is open; None outside of strings.
        typed: the text of the open string, or the word before the cursor.
        start: where that text begins.
        brackets: the open brackets, outermost first.
        keyword: name of the keyword argument whose value is being typed.
        comment: whether the cursor is in a comment.
        prefix: the letters before the open string, such as "f".
    """

    quote: str | None
    typed: str
    start: int
    brackets: list[Bracket]
    keyword: str | None
    comment: bool = False
    prefix: str = ""

    @property
    def inner(self) -> Bracket | None:
        """The innermost open bracket."""
        return self.brackets[-1] if self.brackets else None


def scan(text: str) -> Place:
    """Return where the end of a text is.

    Example:
        >>> place = scan('lab.vms.create(name="a", network="la')
        >>> place.keyword, place.typed, place.inner.owner, place.inner.given
        ('network', 'la', 'lab.vms.create', ['name'])
    """
    brackets: list[Bracket] = []
    at, length = 0, len(text)
    while at < length:
        letter = text[at]
        if letter in "'\"":
            quote = text[at : at + 3] if text[at : at + 3] in ("'''", '"""') else letter
            end = _end_of_string(text, at + len(quote), quote)
            if end is None:
                start, before = at + len(quote), _prefix(text, at)
                keyword, prefix = _keyword(text, brackets, before), text[before:at].lower()
                return Place(quote, text[start:], start, brackets, keyword, prefix=prefix)
            at = end
            continue
        if letter == "#":
            end = text.find("\n", at)
            if end < 0:
                return Place(None, "", length, brackets, None, comment=True)
            at = end
        elif letter in OPENING:
            brackets.append(Bracket(letter, _owner(text[:at]), at + 1))
        elif letter in CLOSING and brackets:
            brackets.pop()
        elif letter == "," and brackets:
            inner = brackets[-1]
            if match := re.match(r"\s*(\w+)\s*=(?!=)", text[inner.argument : at]):
                inner.given.append(match[1])
            inner.argument, inner.position = at + 1, inner.position + 1
        at += 1
    word = re.search(r"\w*$", text)
    start = word.start() if word else length
    return Place(None, text[start:], start, brackets, _keyword(text, brackets, start))


def _prefix(text: str, at: int) -> int:
    """Return where a string with its prefix (f, r, b) begins."""
    while at and text[at - 1] in "rRbBfFuU" and (at < 2 or not (text[at - 2].isalnum() or text[at - 2] == "_")):
        at -= 1
    return at


def _keyword(text: str, brackets: list[Bracket], end: int) -> str | None:
    if not brackets or brackets[-1].kind != "(":
        return None
    match = _KEYWORD.match(text[brackets[-1].argument : end])
    return match[1] if match else None


def _end_of_string(text: str, at: int, quote: str) -> int | None:
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text.startswith(quote, at):
            return at + len(quote)
        elif text[at] == "\n" and len(quote) == 1:
            return at  # a string that its line did not close
        else:
            at += 1
    return None


def _owner(text: str) -> str:
    """Return the expression that a text ends with: names, attributes, keys and calls.

    Example:
        >>> _owner("x = lab.vms['a b']"), _owner("for y in fleet().hosts"), _owner("1 + ")
        ("lab.vms['a b']", 'fleet().hosts', '')
    """
    if not _EXPRESSION_END.search(text):
        return ""
    at = len(text)
    while at:
        letter = text[at - 1]
        if letter.isalnum() or letter in "_.":
            at -= 1
        elif letter in "])":
            opened = _opening(text, at - 1)
            if opened is None:
                break
            at = opened
        else:
            break
    return text[at:].strip(".")


def _opening(text: str, at: int) -> int | None:
    """Return where the bracket that ends at `at` begins."""
    depth, quote = 0, ""
    for place in range(at, -1, -1):
        letter = text[place]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in CLOSING:
            depth += 1
        elif letter in OPENING:
            depth -= 1
            if not depth:
                return place
    return None


__all__ = ["Bracket", "Place", "scan"]
