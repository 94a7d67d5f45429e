"""Keys of the shell beside those of ptpython."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, emacs_insert_mode, has_focus, has_selection, vi_insert_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from novacron_shell.repl.environment import Environment
from novacron_shell.repl.interpreter import is_special


def bindings(shell: Environment, search: Callable[[], object] = lambda: None) -> KeyBindings:
    """Return the key bindings: those of plugins; Ctrl-R; and Enter runs a `:` command at once, whatever its last character is.

    Args:
        shell: the session.
        search: lets the user search the history.
    """
    keys = KeyBindings()
    typing = ~has_selection & (vi_insert_mode | emacs_insert_mode) & has_focus(DEFAULT_BUFFER)
    special = Condition(lambda: is_special(get_app().current_buffer.text))

    @keys.add("enter", filter=special & typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("c-r", filter=typing)
    def _(event: KeyPressEvent) -> None:
        search()

    add_keys(keys, shell)
    return keys


def add_keys(keys: KeyBindings, shell: Environment) -> None:
    """Add the keys of plugins."""
    for key, (action, _about) in shell.keys.items():
        keys.add(key)(_calling(shell, key, action))


def _calling(shell: Environment, key: str, action: Callable[[], object]) -> Callable[[KeyPressEvent], None]:
    """Return a handler that calls a plugin's action; its failure is announced."""

    def pressed(_: KeyPressEvent) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            shell.announce(f"key {key}: {type(error).__name__}: {error}")

    return pressed


__all__ = ["add_keys", "bindings"]
