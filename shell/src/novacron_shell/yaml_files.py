"""Reads YAML and JSON files that a user gives to a command, with limits on what they can expand to."""

from __future__ import annotations

import re
from typing import Any, TextIO

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import without_quotations

BYTES_MOST = 4 * 2**20
"""Characters that a file may have."""
NODES_MOST = 100_000
"""Values that a file may have after its aliases are expanded. A few aliases of aliases can otherwise stand for billions of values."""


def load(file: TextIO) -> Any:
    """Return the plain values of a file, None for an empty one.

    Raises:
        InvalidSpecError: it is not valid YAML, it is too large, or its aliases expand to too many values.
    """
    import yaml

    name = str(getattr(file, "name", "the file"))
    try:
        text = file.read(BYTES_MOST + 1)
        if len(text) > BYTES_MOST:
            raise _bad(name, "content", "too long", f"at most {BYTES_MOST} characters")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return None
        if _expanded(name, node, {}, set()) > NODES_MOST:
            raise _bad(name, "content", "too many values", f"at most {NODES_MOST} values after its aliases are expanded")
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "content"
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        tab = "\\t" in str(error)
        hint = "YAML does not allow tabs for indentation; use spaces" if tab else "the file must be valid YAML or JSON"
        raise _bad(name, where, without_quotations(reason), "valid YAML or JSON", hint) from None
    except UnicodeDecodeError as error:
        raise _bad(name, "content", str(error), "text in UTF-8") from None
    except (RecursionError, ValueError) as error:
        raise _bad(name, "content", type(error).__name__, "valid YAML or JSON") from None


def _loader() -> Any:
    """Return a safe loader that takes `52:54:00:12:34:56` for the text that it is. YAML 1.1 takes it for a number to the base 60."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads integers and floats as YAML 1.2 does."""

    numbers = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, re.compile(f"(?!.*:)(?:{each.pattern})", each.flags) if tag in numbers else each) for tag, each in known]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _expanded(name: str, node: Any, known: dict[int, int], open_nodes: set[int]) -> int:
    """Return how many values a node stands for. Raises InvalidSpecError if it contains itself."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in open_nodes:
        raise _bad(name, "content", "an alias of itself", "aliases of other values")
    open_nodes.add(id(node))
    inner = node.value if isinstance(node.value, list) else []
    parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
    known[id(node)] = 1 + sum(_expanded(name, part, known, open_nodes) for part in parts)
    open_nodes.discard(id(node))
    return known[id(node)]


def _bad(name: str, where: str, found: str, allowed: str, hint: str | None = None) -> InvalidSpecError:
    return InvalidSpecError(
        f"can't read {name}", problems=[SpecProblem(where, found, allowed)], hint=hint or "check the file's content"
    )


__all__ = ["load"]
