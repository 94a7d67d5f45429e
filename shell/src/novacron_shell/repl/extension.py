"""What plugins add to a session; see the hook `extend_shell`. A plugin that fails costs its own additions only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from novacron.errors import AlreadyExistsError, InvalidSpecError, SpecProblem
from novacron_shell.repl.completion.isolation import IsolatedCompleter
from novacron_shell.repl.environment import Environment


class Extension:
    """Adds to a session (see `novacron.hookspecs.application.ShellExtension`).

    Args:
        shell: the session.
    """

    def __init__(self, shell: Environment) -> None:
        self._shell = shell
        self.names = shell.names

    def add_command(self, command: Any) -> None:
        """Add a `:` command."""
        from novacron_shell.repl.words import WORDS

        if command.name in WORDS or command.name in self._shell.commands:
            raise AlreadyExistsError(f"the shell has a command {command.name!r} already")
        self._shell.commands[command.name] = command

    def add_completer(self, name: str, complete: Callable[[str], Iterable[str]]) -> None:
        """Add a completer, isolated."""
        self._shell.completers.append(IsolatedCompleter(name, complete, lambda text: self._shell.announce(text)))

    def add_display(self, kind: type, draw: Callable[[Any], Any]) -> None:
        """Add a display."""
        self._shell.displays.own[kind] = draw

    def add_key(self, key: str, action: Callable[[], object], about: str) -> None:
        """Add a key."""
        from prompt_toolkit.key_binding import KeyBindings

        try:
            KeyBindings().add(key)(lambda _: None)
        except ValueError:
            problem = SpecProblem("key", key, 'a key as prompt_toolkit names it, such as "f6" or "c-t"')
            raise InvalidSpecError("no such key", problems=[problem]) from None
        self._shell.keys[key] = (action, about)

    def add_toolbar_item(self, item: Callable[[], str]) -> None:
        """Add an item of the toolbar."""
        self._shell.toolbar_items.append(item)


def extend(shell: Environment, hook: Any) -> list[str]:
    """Let all plugins extend a session. Return a message for each plugin that failed.

    Args:
        shell: the session.
        hook: the hook `extend_shell`.
    """
    problems = []
    extension = Extension(shell)
    for implementation in hook.get_hookimpls():
        try:
            given = {"shell": extension}
            implementation.function(*(given[name] for name in implementation.argnames))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            problems.append(f"plugin {implementation.plugin_name}: {type(error).__name__}: {error}")
    return problems


__all__ = ["Extension", "extend"]
