"""What plugins provide under a name: each name belongs to one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeGuard, TypeVar

from novacron.errors import PluginError

LONGEST = 100
"""Characters of a name."""
_log = logging.getLogger(__name__)
Provided = TypeVar("Provided")


def is_name(name: object) -> TypeGuard[str]:
    """Return whether a value is a name: one line of text, not too long, and without characters that a terminal does not show."""
    return isinstance(name, str) and 0 < len(name) <= LONGEST and name.isprintable() and name == name.strip()


def by_name(
    what: str,
    provided: Iterable[Provided],
    *,
    built_in: Mapping[str, Provided] | None = None,
    name_of: Callable[[Provided], object] = attrgetter("name"),
) -> dict[str, Provided]:
    """Return what plugins provide by its name, after what is built in.

    A plugin can't replace what is built in. If two plugins claim a name, neither gets it: which of them would be used is an accident. Such
    objects, and objects whose name is not one line of text, are logged and left out, so that the others work.

    Args:
        what: what is named, for the log.
        provided: what the plugins provide.
        built_in: the built-in objects by name.
        name_of: returns the name of an object.

    Example:
        >>> from types import SimpleNamespace as Sink
        >>> sinks = [Sink(name="a"), Sink(name="b", to="ann"), Sink(name="b", to="bob"), Sink(name="c")]
        >>> sorted(by_name("sink", sinks, built_in={"c": Sink(name="c")}))
        ['a', 'c']
    """
    built_in = built_in or {}
    found, twice = dict[str, Provided](), set[str]()
    for each in provided:
        try:
            name = name_of(each)
        except Exception:  # noqa: BLE001 - a plugin may raise anything
            _log.exception("a %s of a plugin has no name", what)
            continue
        if not is_name(name):
            _log.error("a %s of a plugin is left out: its name is not one line of at most %d characters", what, LONGEST)
        elif name in built_in:
            _log.error("the %s %r of a plugin is left out: the name is built in", what, name)
        elif name in found and found[name] != each:
            twice.add(name)
        else:
            found[name] = each
    for name in twice:
        _log.error("the %s %r is left out: more than one plugin provides it; disable one of them", what, name)
        del found[name]
    return {**built_in, **found}


def refuse_claimed(what: str, name: str, hook: Any, *, name_of: Callable[[Any], object] = attrgetter("name")) -> None:
    """Refuse a name that `by_name` has left out because more than one plugin claims it.

    Args:
        what: what is named.
        name: the name that was not found.
        hook: the hook that the plugins implement, such as `plugins.hook.fence_agents`.
        name_of: returns the name of an object.

    Raises:
        PluginError: it names the plugins, and says how to choose one.
    """
    owners = set[str]()
    for implementation in getattr(hook, "get_hookimpls", list)():
        if not (implementation.wrapper or implementation.hookwrapper):
            owners |= {implementation.plugin_name for each in implementation.function() or () if _name(each, name_of) == name}
    if len(owners) > 1:
        listed = sorted(owners)
        raise PluginError(
            f"the {what} {name!r} is claimed by the plugins {', '.join(listed)}, so none of them is used",
            hint=f"choose one and disable the others, such as: novacron plugin disable {listed[-1]}",
        )


def _name(each: Any, name_of: Callable[[Any], object]) -> object:
    try:
        return name_of(each)
    except Exception:  # noqa: BLE001 - a plugin may raise anything
        return None


__all__ = ["LONGEST", "by_name", "is_name", "refuse_claimed"]
