"""Completes a command line without click and without the commands, whose import takes longer than people wait for a tab.

The first completion within a command asks click, and stores the names that the command has in the state directory. Later ones read them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

VARIABLE = "_NOVACRON_COMPLETE"
FILE = "commands.json"
"""The file of the state directory with the commands that were completed."""
QUOTES = frozenset("\"'\\")
Item = tuple[str, str]
"""A completion and its help text."""


class Unknown(Exception):
    """The stored commands do not tell what to complete: click has to."""


def answer(environment: Mapping[str, str]) -> str | None:
    """Return what the completion script of a shell expects; None if click has to be asked."""
    shell, _, what = environment.get(VARIABLE, "").partition("_")
    if what != "complete" or shell not in ("bash", "zsh", "fish"):
        return None
    try:
        words, incomplete = _typed(shell, environment)
        items = _items(_stored(), words, incomplete)
    except (Unknown, KeyError, ValueError, TypeError):
        return None
    return "\n".join(_line(shell, *item) for item in items)


def learn(environment: Mapping[str, str]) -> None:
    """Store the commands on the way to what is completed, as click tells them. Failures are ignored."""
    import click

    from novacron_shell.cli import cli
    from novacron_shell.completion import write_state

    try:
        words, _ = _typed(environment[VARIABLE].partition("_")[0], environment)
    except (Unknown, KeyError, ValueError):
        return
    found, path = _stored(), ""
    command: click.Command | None = cli
    context = click.Context(cli, info_name="novacron", resilient_parsing=True)
    for word in [*words, ""]:
        if command is not None and path not in found:
            found[path] = _described(command, context)
        if isinstance(command, click.Group) and word in found[path]["commands"]:
            command, path = command.get_command(context, word), f"{path} {word}"
            context = click.Context(command or cli, parent=context, info_name=word, resilient_parsing=True)
    write_state(FILE, {"stamp": _stamp(), "commands": found})


def _typed(shell: str, environment: Mapping[str, str]) -> tuple[list[str], str]:
    """Return the complete words after the program's name, and the incomplete one."""
    line, place = environment["COMP_WORDS"], environment["COMP_CWORD"]
    if not QUOTES.isdisjoint(line):
        raise Unknown
    words = line.split()
    if shell == "fish":
        words = words[1:]
        return (words[:-1] if place and words and words[-1] == place else words), place
    number = int(place)
    return words[1:number], words[number] if number < len(words) else ""


def _items(commands: Mapping[str, Any], words: Sequence[str], incomplete: str) -> list[Item]:
    path, command, given, used = "", commands[""], list[str](), set[str]()
    option: Mapping[str, Any] | None = None
    for word in words:
        if option is not None:
            option = None
        elif word.startswith("-"):
            found = next((each for each in command["options"] if word in each["names"]), None)
            if found is None:
                raise Unknown
            used.add(found["names"][0])
            option = found if found["values"] is not None else None
        elif command["commands"] is not None:
            path = f"{path} {word}"
            command, given, used = commands[path], [], set()
        else:
            given.append(word)
    if "=" in incomplete:
        raise Unknown
    if option is not None:
        return _values(option["values"], given, incomplete)
    items: list[Item] = []
    arguments = command["arguments"]
    if not incomplete.startswith("-"):
        if command["commands"] is not None:
            return [(name, text) for name, text in command["commands"].items() if name.startswith(incomplete)]
        if len(given) < len(arguments) or (arguments and arguments[-1]["many"]):
            return _values(arguments[min(len(given), len(arguments) - 1)]["values"], given, incomplete)
    if incomplete and not incomplete[0].isalnum():
        for each in command["options"]:
            if each["many"] or each["names"][0] not in used:
                items += [(name, each["help"]) for name in each["names"] if name.startswith(incomplete)]
    return items


def _values(values: Any, given: Sequence[str], incomplete: str) -> list[Item]:
    from novacron_shell.completion import can_be_typed, known, known_snapshots, suggestions

    if values == "vm" and not incomplete.startswith("@"):
        return [(text, "") for text in suggestions(incomplete, known())]
    if values == "snapshot":
        names = known_snapshots(given[0] if given else "")
        return [(name, "") for name in names if name.startswith(incomplete) and can_be_typed(name)]
    if isinstance(values, list):
        return [(value, "") for value in values if value.startswith(incomplete)]
    raise Unknown


def _described(command: click.Command, context: click.Context) -> dict[str, Any]:
    """Return what a command has: its commands, options and arguments, as they are stored."""
    import click

    options, arguments = [], []
    for each in command.get_params(context):
        if isinstance(each, click.Option):
            takes = not (each.is_flag or each.count)
            described = {"names": [*each.opts, *each.secondary_opts], "help": each.help or "", "many": each.multiple}
            if not each.hidden:
                options.append(described | {"values": _kind(each) if takes else None})
        else:
            arguments.append({"values": _kind(each), "many": each.nargs == -1})
    commands = None
    if isinstance(command, click.Group):
        there = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        commands = {name: each.get_short_help_str() for name, each in there if each is not None and not each.hidden}
    return {"commands": commands, "options": options, "arguments": arguments}


def _kind(parameter: click.Parameter) -> Any:
    """Return what completes a parameter: a list of texts, "vm", "snapshot", or "other" if only click knows."""
    import click

    from novacron_shell.completion import complete_snapshots, complete_vms

    own = parameter._custom_shell_complete
    if own is complete_vms:
        return "vm"
    if own is complete_snapshots:
        return "snapshot"
    if own is None and parameter.nargs in (1, -1):
        if isinstance(parameter.type, click.Choice) and parameter.type.case_sensitive:
            return [parameter.type.normalize_choice(each, None) for each in parameter.type.choices]
        if type(parameter.type).shell_complete is click.ParamType.shell_complete:
            return []
    return "other"


def _stored() -> dict[str, Any]:
    from novacron_shell.completion import read_state

    stored = read_state(FILE)
    commands = stored.get("commands") if stored.get("stamp") == _stamp() else None
    return commands if isinstance(commands, dict) else {}


def _stamp() -> list[Any]:
    """Return what changes when NovaCron or a plugin is installed, upgraded, removed, enabled or disabled."""
    from novacron_shell.completion import read_state

    listed = os.environ.get("NOVACRON_PLUGINS", "")
    own = Path(__file__).parent
    places = [own, own / "commands", *map(Path, filter(None, [*listed.split(os.pathsep), *sys.path]))]
    return [sys.version, listed, read_state("plugins.json"), *map(_changed, places)]


def _changed(path: Path) -> int:
    """Return when a file or folder was changed; 0 if it can't be read."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _line(shell: str, value: str, text: str) -> str:
    """Return a completion in the form that click's script for a shell reads."""
    if shell == "bash":
        return f"plain,{value}"
    if shell == "zsh":
        return f"plain\n{value.replace(':', chr(92) + ':') if text else value}\n{text or '_'}"
    described = text.replace("\n", "\\n").replace("\t", " ")
    return f"plain,{value}\t{described}" if text else f"plain,{value}"


__all__ = ["VARIABLE", "answer", "learn"]
