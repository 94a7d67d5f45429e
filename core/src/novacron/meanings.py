"""The meanings of the attributes of a class, from the section `Attributes:` of its docstring.

`novacron explain`, the JSON Schema of specs and lab files, and `help()` show the same text. It is parsed when it is asked for, because
listings need none of it. Under `python -OO` there are no docstrings, and thus no meanings.
"""

from __future__ import annotations

import inspect
import re

SECTIONS = ("Args:", "Attributes:", "Example:", "Raises:", "Returns:")
_ENTRY = re.compile(r"    (?P<names>\w+(?:, \w+)*): (?P<text>\S.*)")


def meanings(cls: type) -> dict[str, str]:
    """Return the meaning of each attribute by its name; those of base classes too, unless the class has its own.

    Example:
        >>> from novacron.records import Ping
        >>> meanings(Ping)["latency_seconds"]
        'Time until the answer came, in seconds.'
    """
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if not each.__module__.startswith(("builtins", "msgspec", "pydantic")):
            found |= _attributes(inspect.cleandoc(each.__dict__.get("__doc__") or ""))
    return found


def introduction(cls: type) -> str:
    """Return the docstring of a class before its first section, such as `Attributes:`.

    Example:
        >>> from novacron.records import Ping
        >>> introduction(Ping)
        'The answer of a reachable host.'
    """
    lines = inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines()
    end = next((number for number, line in enumerate(lines) if line in SECTIONS), len(lines))
    return "\n".join(lines[:end]).strip()


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, section = f"\n{text}".partition("\nAttributes:\n")
    for line in section.splitlines():
        if not line.startswith("    "):
            break
        if match := _ENTRY.fullmatch(line):
            names = match["names"].split(", ")
            found |= dict.fromkeys(names, match["text"])
        else:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


__all__ = ["introduction", "meanings"]
