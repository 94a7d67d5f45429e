"""The native operations of a host's product, as methods."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from novacron.text import printable_line

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle


class NativeOperations:
    """The native operations of a host as methods: `host.native.folder_list("/DC0")`. `dir()` lists them.

    A long one returns its result, or its job with `wait=False`. `timeout` is the longest time to wait, in seconds.
    """

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def __repr__(self) -> str:
        return printable_line(f"<native operations of {self._host.name}: {len(dir(self))}>")

    def __dir__(self) -> Iterable[str]:
        return sorted(name.partition(".")[2] for name in self._host.dispatcher.native)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        known = {each.partition(".")[2]: each for each in self._host.dispatcher.native}
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            more = f", did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"{self._host.name} has no native operation {name!r}{more}")
        operation, method = self._host.dispatcher.native[known[name]]

        def call(*positional: Any, wait: bool = True, timeout: float | None = None, **arguments: Any) -> Any:
            names = [argument for argument in operation.arguments if argument != "job"]
            if len(positional) > len(names) or set(names[: len(positional)]) & set(arguments):
                raise TypeError(f"{name} takes ({', '.join(names)})")
            arguments |= dict(zip(names, positional, strict=False))
            run = self._host.invoke if wait else self._host.submit
            return run(operation.name, timeout, **arguments)

        call.__name__, call.__doc__ = name, method.__doc__
        return call


__all__ = ["NativeOperations"]
