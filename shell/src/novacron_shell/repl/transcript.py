"""What was typed in a session, and the script that does the same."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND, PROGRAM, HELP = ":", "!", "?"
"""What a line begins with that runs a command of NovaCron, a program of the system, or that asks for help (it ends with this)."""
WATCH = "watch("
"""What a line begins with that shows a value until Ctrl-C. A script would not end."""
NOT_SAVED = frozenset({"alias", "edit", "help", "history", "jobs", "load", "save", "time", "unalias", "why"})
"""Commands of the shell about the session itself: a script does not repeat them."""
SCREENS = frozenset({"console", "edit", "shell", "ssh", "top", "viewer"})
"""Words of commands that wait for a person at the terminal. They stop a script, so they are comments in it, unless they print once."""


@dataclass(frozen=True)
class Entry:
    """One thing that was typed, and the number of its result (`_3`)."""

    text: str
    number: int
    failed: bool = False


class Transcript:
    """The entries of a session, in order.

    Example:
        >>> transcript = Transcript()
        >>> transcript.add(":vm start web1", 1)
        >>> transcript.add("len(vms)", 2)
        >>> print(transcript.script(), end="")
        # Run it with: novacron script FILE
        command("vm start web1")
        len(vms)
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, text: str, number: int, *, failed: bool = False) -> None:
        """Keep what was typed."""
        self.entries.append(Entry(text.strip("\n"), number, failed))

    def script(self, started_for: Sequence[str] = (), startup: Sequence[str] = ()) -> str:
        """Return a Python script that does what the session did. Lines that failed, and those that watch a value, are comments.

        Args:
            started_for: the options that the session was started with, for the first line.
            startup: the Python files that ran when the session started. The script runs them, too.
        """
        options = " ".join(shlex.quote(word) for word in started_for)
        lines = [f"# Run it with: novacron {options + ' ' if options else ''}script FILE"]
        lines += [f"globals().update(__import__('runpy').run_path({_quoted(file)}, init_globals=globals()))" for file in startup]
        needs_results = any(_uses_results(entry.text) for entry in self.entries)
        for entry in self.entries:
            lines += _as_python(entry, needs_results)
        return "\n".join(lines) + "\n"

    def save(self, file: Path, started_for: Sequence[str] = (), startup: Sequence[str] = ()) -> None:
        """Write the script to a new file. Raises FileExistsError."""
        with file.open("x") as target:
            target.write(self.script(started_for, startup))


def _as_python(entry: Entry, needs_results: bool) -> Iterator[str]:
    text = entry.text
    if not text.strip() or text.rstrip().endswith(HELP) or text.lstrip().startswith(HELP):
        return
    if text.lstrip().startswith(COMMAND):
        line = text.strip()[1:].strip()
        if line.partition(" ")[0] in NOT_SAVED or not line:
            return
        if needs_person(line):
            yield from (f"# looked at: :{part}" for part in line.splitlines())
            return
        text = f"command({_quoted(line)})"
    elif text.lstrip().startswith(PROGRAM):
        text = f"__import__('os').system({_quoted(text.strip()[1:])})"
    elif needs_results and not entry.failed and _is_expression(text):
        text = f"_ = _{entry.number} = ({text})"
    if entry.failed:
        yield from ("# failed: " + line for line in text.splitlines())
    elif text.startswith(WATCH):
        yield from ("# watched: " + line for line in text.splitlines())
    else:
        yield text


def needs_person(line: str) -> bool:
    """Return whether a command waits for a person at the terminal, or shows a list until Ctrl-C.

    Example:
        >>> [needs_person(line) for line in ("top web", "vm console web1", "events", "vm list -w")]
        [True, True, True, True]
        >>> [needs_person(line) for line in ("top --once", "ssh web1 -- uptime", "events --for=5s", "vm set top memory=1GiB")]
        [False, False, False, False]
    """
    words = line.split()
    options = {word.partition("=")[0] for word in (words[: words.index("--")] if "--" in words else words)}
    name = words[1] if words[0] == "vm" and len(words) > 1 else words[0]
    if "--help" in options or (name == "ssh" and "--" in words):
        return False
    if name == "events":
        return not options & {"--for", "--count"} or bool(options & {"-f", "--follow"})
    return bool(options & {"-w", "--watch"}) or (name in SCREENS and not options & {"--once", "--print"})


def _quoted(text: str) -> str:
    """Return a Python string, in double quotes if it can be."""
    return f'"{text}"' if not set(text) & set('"\\\n') and text.isprintable() else repr(text)


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _uses_results(text: str) -> bool:
    """Whether code refers to results of earlier lines, as `_` or `_3`."""
    try:
        nodes = list(ast.walk(ast.parse(text.strip())))
    except (SyntaxError, ValueError):
        return False
    return any(
        (isinstance(node, ast.Name) and node.id.startswith("_") and node.id[1:].isdigit()) or _is_last(node) for node in nodes
    )


def _is_last(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Load)


__all__ = ["COMMAND", "HELP", "PROGRAM", "Entry", "Transcript"]
