"""The user's configuration file, which the command line and the interactive shell share: `~/.config/novacron/config.toml`.

```toml
host = "kvm1"          # used when no host is named; `novacron host use`, --host, -c and the environment win
output = "wide"        # table, wide, json, ndjson, yaml, csv or name
timeout = "20s"        # how long a host may take to answer
theme = "light"        # "light" or "dark", as the terminal's background is; or a Pygments style for what is typed in the shell

[aliases]
ll = "vm list -o wide"
```

NOVACRON_CONFIG names another file. A missing file stands for the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from novacron_shell.output import FORMATS

if TYPE_CHECKING:
    from novacron.errors import SpecProblem

KEYS = ("host", "output", "timeout", "theme", "aliases")


@dataclass(frozen=True)
class Config:
    """What the configuration file says.

    Attributes:
        host: name of the host of the fleet that is used when none is named.
        output: output format.
        timeout: seconds that a host may take to answer.
        theme: "light", "dark", or a Pygments style, for the shell.
        aliases: name to the command line that it stands for.
    """

    host: str | None = None
    output: str | None = None
    timeout: float | None = None
    theme: str | None = None
    aliases: dict[str, str] = field(default_factory=dict)


def config_file() -> Path:
    """Return the path of the configuration file, whether it exists or not."""
    if given := os.environ.get("NOVACRON_CONFIG"):
        return Path(given)
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")) / "novacron" / "config.toml"


def read_config() -> Config:
    """Read the configuration file.

    Raises:
        InvalidSpecError: it is no TOML, or a key or value is invalid. All problems are named at once.
    """
    path = config_file()
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except OSError as error:
        raise _invalid(f"can't read {path}: {error.strerror}") from error
    import tomllib

    try:
        found = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(f"{path} is no TOML: {error}") from error
    if problems := list(_problems(found)):
        raise _invalid(f"invalid configuration in {path}", problems)
    if "timeout" in found:
        from novacron.units import parse_duration

        found["timeout"] = parse_duration(found["timeout"])
    return Config(**found)


def _invalid(message: str, problems: list[SpecProblem] | None = None) -> Exception:
    from novacron.errors import InvalidSpecError

    return InvalidSpecError(
        message, problems=problems or [], outcome="not_sent", hint="edit the file, or name another one with NOVACRON_CONFIG"
    )


def _problems(found: dict[str, Any]) -> Iterator[SpecProblem]:
    import difflib

    from novacron.errors import InvalidValueError, SpecProblem
    from novacron.redaction import described
    from novacron.units import parse_duration

    for key, value in found.items():
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            yield SpecProblem(key, "an unknown key", f"did you mean {near[0]!r}?" if near else f"one of {', '.join(KEYS)}")
        elif key in ("host", "theme") and not (isinstance(value, str) and value):
            yield SpecProblem(key, described(value), "a name, as text")
        elif key == "output" and value not in FORMATS:
            near = difflib.get_close_matches(str(value), FORMATS, n=1)
            allowed = f"one of {', '.join(FORMATS)}"
            yield SpecProblem(key, described(value), f"{allowed}; did you mean {near[0]!r}?" if near else allowed)
        elif key == "timeout":
            try:
                valid = not isinstance(value, bool) and parse_duration(value) > 0
            except (InvalidValueError, TypeError):
                valid = False
            if not valid:
                yield SpecProblem(key, described(value), 'a duration such as "20s"')
        elif key == "aliases":
            yield from _alias_problems(value)


def _alias_problems(aliases: Any) -> Iterator[SpecProblem]:
    import shlex

    from novacron.errors import SpecProblem
    from novacron.redaction import described

    if not isinstance(aliases, dict):
        yield SpecProblem("aliases", described(aliases), 'a table, such as [aliases] ll = "vm list"')
        return
    for name, line in aliases.items():
        try:
            words = shlex.split(line) if isinstance(line, str) else []
        except ValueError:
            words = []
        if not words or name.startswith("-"):
            yield SpecProblem(f"aliases.{name}", described(line), "a name and a command line, as text")


def expanded(words: list[str], aliases: dict[str, str]) -> list[str]:
    """Return the words of a command line with the alias at their beginning replaced. An alias may name another one.

    Example:
        >>> expanded(["ll", "web*"], {"ll": "l -o wide", "l": "vm list"})
        ['vm', 'list', '-o', 'wide', 'web*']
    """
    import shlex

    seen: set[str] = set()
    while words and words[0] in aliases and words[0] not in seen:
        seen.add(words[0])
        words = [*shlex.split(aliases[words[0]]), *words[1:]]
    return words


__all__ = ["Config", "config_file", "expanded", "read_config"]
