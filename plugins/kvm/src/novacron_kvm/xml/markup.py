"""Writes XML as text: several times faster than a tree of elements, and always escaped, for there is no other way in."""

from __future__ import annotations

import re
from typing import Any, NewType

from novacron.errors import InvalidSpecError, SpecProblem

Markup = NewType("Markup", str)
"""XML that is written."""

NOTHING = Markup("")

_UNWRITABLE = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_unwritable = re.compile(f"[{_UNWRITABLE}]").search
_special_in_text = re.compile(f"[&<>\r{_UNWRITABLE}]").search
_special_in_attribute = re.compile(f'[&<>"\t\n\r{_UNWRITABLE}]').search
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"})


def element(tag: str, *children: Markup, **attributes: Any) -> Markup:
    """Return an element with its children; attributes that are None are left out.

    Raises:
        InvalidSpecError: an attribute has a character that XML can't hold.

    Example:
        >>> element("disk", element("source", file="/a&b"), element("readonly"), type="file", serial=None)
        '<disk type="file"><source file="/a&amp;b"/><readonly/></disk>'
    """
    opened = f"<{tag}"
    for name, value in attributes.items():
        if value is None:
            continue
        given = str(value)
        if not given.isalnum() and _special_in_attribute(given):
            given = _escaped(given)
        opened = f'{opened} {name}="{given}"'
    content = "".join(children) if children else ""
    return Markup(f"{opened}>{content}</{tag}>" if content else f"{opened}/>")


def text(tag: str, content: object, **attributes: Any) -> Markup:
    """Return an element that holds a text.

    Raises:
        InvalidSpecError: a character of it, or of an attribute, is none that XML can hold.

    Example:
        >>> text("memory", 1024, unit="KiB")
        '<memory unit="KiB">1024</memory>'
    """
    given = str(content)
    return element(tag, Markup(_escaped(given) if _special_in_text(given) else given), **attributes)


def _escaped(value: str) -> str:
    if found := _unwritable(value):
        problem = SpecProblem("definition", repr(found.group()), "text without control characters")
        raise InvalidSpecError("XML can't hold a character of that spec", problems=[problem])
    return value.translate(_ESCAPED)


__all__ = ["NOTHING", "Markup", "element", "text"]
