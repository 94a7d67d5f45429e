"""Where a node is within a flow: a path of parts from the root, with the attempts of retries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_PART = re.compile(r"(?:/([^/~]*))?(?:~(\d+))?")
_BOUNDARY = re.compile(r"[/~]")
_ESCAPED = {"%": "%25", "/": "%2F", "~": "%7E"}


class Part(NamedTuple):
    """One step of a path: the name of a part of a node, and which attempt it is within a retry (0 outside of one)."""

    name: str
    attempt: int = 0


class Path(str):
    """The path of a node: "/0/2" is the third part of the first part, "/0/body~2" the second attempt of a retry.

    The names of the parts come from the nodes: numbers within a sequence, "body" within whatever wraps a flow, "undo", "otherwise",
    and a VM's id within a node for several VMs. The root is the empty path. A path is stored as its text.

    Example:
        >>> path = Path() / "0" / "body"
        >>> path.attempt(2), path.attempt(2).without_attempts() == path, path.is_within(Path("/0"))
        ('/0/body~2', True, True)
        >>> Path("/0/body~2").parts
        (Part(name='0', attempt=0), Part(name='body', attempt=2))
    """

    __slots__ = ()

    def __truediv__(self, name: str) -> Path:
        """Return the path of a part of this node."""
        return Path(f"{self}/{''.join(_ESCAPED.get(c, c) for c in name)}")

    def attempt(self, number: int) -> Path:
        """Return the path of one attempt at this node."""
        return Path(f"{self}~{number}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, the outermost first."""
        return tuple(self._parts())

    def _parts(self) -> Iterator[Part]:
        for found in _PART.finditer(self):
            if found[0]:
                name = (found[1] or "").replace("%2F", "/").replace("%7E", "~").replace("%25", "%")
                yield Part(name, int(found[2] or 0))

    def is_within(self, other: Path) -> bool:
        """Whether this is the path of that node, or of something inside of it."""
        return not other or self == other or self.startswith((other + "/", other + "~"))

    def around(self) -> Iterator[Path]:
        """Yield the paths that this one is within: the outermost first, without the root, with the path itself."""
        yield from (Path(self[: found.start()]) for found in _BOUNDARY.finditer(self) if found.start())
        if self:
            yield self

    def undoes_within(self, other: Path) -> bool:
        """Whether this node, which is within `other`, is only run to undo a part of that."""
        return any(part.name == "undo" for part in self.parts[len(other.parts) :])

    def without_attempts(self) -> Path:
        """Return the path in the flow of a path in a run, which also counts attempts."""
        return Path(re.sub(r"~\d+", "", self)) if "~" in self else self


ROOT = Path()

__all__ = ["ROOT", "Part", "Path"]
