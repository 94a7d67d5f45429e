"""The shell's configuration file: `shell.toml` in the state directory.

```toml
editing = "vi"              # or "emacs", the default
theme = "light"             # the terminal's background: "light" or "dark"; or a Pygments style for what is typed; F2 shows all
startup = ["~/my_names.py"] # Python files that run when the shell starts

[aliases]
ll = "vm list -o wide"
```
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.redaction import described
from novacron.state import open_private
from novacron_shell.config import Config

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

ALLOWED: Mapping[str, type] = {"editing": str, "theme": str, "startup": list, "aliases": dict}


@dataclass
class ShellConfig:
    """Aliases and looks of the shell.

    Attributes:
        editing: "emacs" or "vi".
        theme: "light" or "dark", as the terminal's background is; or the Pygments style for input; None for ptpython's colours.
        startup: Python files to run at the start.
        aliases: name to command line.
        path: the file that `save_alias` writes; None for none.

    Example:
        >>> ShellConfig(aliases={"ll": "vm list -o wide"}).expanded("ll web*")
        'vm list -o wide web*'
    """

    editing: str = "emacs"
    theme: str | None = None
    startup: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> ShellConfig:
        """Read a file; a missing one stands for the defaults.

        Raises:
            InvalidSpecError: it is no TOML, or a key or value is unknown.
        """
        try:
            found = tomllib.loads(path.read_text())
        except FileNotFoundError:
            return cls(path=path)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidSpecError(f"can't read {path}: {error}", problems=[]) from error
        if problems := list(_problems(found)):
            raise InvalidSpecError(f"invalid configuration in {path}", problems=problems)
        return cls(**found, path=path)

    def over(self, shared: Config) -> ShellConfig:
        """Take the theme and the aliases that the shell's own file leaves out from the file that the command line uses too."""
        self.theme = self.theme or shared.theme
        self.aliases = {**shared.aliases, **self.aliases}
        return self

    def expanded(self, line: str) -> str:
        """Return a command line with its alias replaced. An alias may name another one."""
        seen: set[str] = set()
        while True:
            word, _, rest = line.lstrip().partition(" ")
            if word in seen or word not in self.aliases:
                return line
            seen.add(word)
            line = f"{self.aliases[word]} {rest}".strip()

    def save_alias(self, name: str, line: str | None) -> None:
        """Add an alias, or remove it if `line` is None, and write the file.

        Everything else in the file is kept as it is, also aliases that another shell wrote meanwhile.

        Raises:
            InvalidSpecError: the file is invalid now.
        """
        if line is None:
            del self.aliases[name]
        else:
            self.aliases[name] = line
        if self.path is None:
            return
        with _locked(self.path):
            stored = ShellConfig.read(self.path).aliases
            if line is None:
                stored.pop(name, None)
            else:
                stored[name] = line
            text = self.path.read_text() if self.path.exists() else ""
            head, tail = _around_aliases(text)
            lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in sorted(stored.items())]
            parts = [head.rstrip("\n"), "\n".join(["[aliases]", *lines]), tail]
            part = self.path.with_name(f"{self.path.name}.new")
            with open(open_private(part, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
                file.write("\n\n".join(filter(None, parts)) + "\n")
            part.replace(self.path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other shells from writing a file at the same time. Windows has no such lock."""
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    with open(open_private(path.with_name(f"{path.name}.lock"), os.O_WRONLY)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _problems(found: dict[str, Any]) -> Any:
    for key, value in found.items():
        if key not in ALLOWED:
            yield SpecProblem(key, described(value), f"one of {', '.join(ALLOWED)}")
        elif not isinstance(value, ALLOWED[key]):
            yield SpecProblem(key, described(value), f"a {ALLOWED[key].__name__}")
    if found.get("editing", "emacs") not in ("emacs", "vi"):
        yield SpecProblem("editing", described(found["editing"]), "emacs or vi")
    for name, line in found.get("aliases", {}).items() if isinstance(found.get("aliases"), dict) else ():
        if not isinstance(line, str):
            yield SpecProblem(f"aliases.{name}", described(line), "a command line, as text")


def _around_aliases(text: str) -> tuple[str, str]:
    """Return what stands before and after the table of aliases."""
    before: list[str] = []
    after: list[str] = []
    place = before
    for line in text.splitlines():
        if line.strip() == "[aliases]":
            place = []
        elif line.lstrip().startswith("[") and place is not before:
            place = after
        place.append(line)
    return "\n".join(before), "\n".join(after)


__all__ = ["ShellConfig"]
