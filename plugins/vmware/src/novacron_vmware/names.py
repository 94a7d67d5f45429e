"""Names, ids and inventory paths of vSphere's objects.

vSphere stores the characters `%`, `/` and `\\` of a name escaped, as `%25`, `%2f` and `%5c`. People see and write the plain name. In an
inventory path, "/DC0/vm/prod/web1", the parts are escaped, so that a slash always separates two parts. govc writes the same paths.
"""

from __future__ import annotations

import re

MOREF = re.compile(r"(?:([A-Z][A-Za-z]+):)?([A-Za-z0-9][\w.-]*)")
"""A managed object's id, with its type as govc writes it ("VirtualMachine:vm-57") or without ("vm-57")."""
BARE_MOREF = re.compile(r"[a-z]+-[a-z]*\d+")
"""An id without its type; other text without a type is never taken for an id."""


def plain_name(name: str) -> str:
    """Return a name as people see it.

    Example:
        >>> plain_name("a%2fb"), plain_name("100%25"), plain_name("100%")
        ('a/b', '100%', '100%')
    """
    return re.sub(r"%(25|2[fF]|5[cC])", lambda match: chr(int(match[1], 16)), name)


def escaped_name(name: str) -> str:
    """Return a plain name as vSphere stores it, and as inventory paths have it.

    Example:
        >>> escaped_name("a/b 100%")
        'a%2fb 100%25'
    """
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def path_part(stored: str) -> str:
    """Return a stored name as a part of an inventory path, also where the server stored it unescaped."""
    return escaped_name(plain_name(stored))


def canonical_path(path: str) -> str:
    """Return an inventory path in one form, whatever of it was escaped.

    Example:
        >>> canonical_path("DC0/vm/a%2Fb/"), canonical_path("/DC0/vm/100%")
        ('/DC0/vm/a%2fb', '/DC0/vm/100%25')
    """
    return "/" + "/".join(path_part(part) for part in path.split("/") if part)


def moref_of(text: str) -> tuple[str | None, str] | None:
    """Return the type (None if it is not given) and the id that a text names; None when it is no id.

    Example:
        >>> moref_of("VirtualMachine:vm-57"), moref_of("vm-57"), moref_of("web1")
        (('VirtualMachine', 'vm-57'), (None, 'vm-57'), None)
    """
    match = MOREF.fullmatch(text)
    return (match[1], match[2]) if match and (match[1] or BARE_MOREF.fullmatch(text)) else None


__all__ = ["canonical_path", "escaped_name", "moref_of", "path_part", "plain_name"]
