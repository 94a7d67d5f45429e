"""Keys of the shell beside those of ptpython."""

from __future__ import annotations

from prompt_toolkit.application import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import Condition, emacs_insert_mode, has_focus, has_selection, vi_insert_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from novacron_shell.repl.interpreter import is_special


def bindings() -> KeyBindings:
    """Return the key bindings: Enter runs a `:` command at once, whatever its last character is."""
    keys = KeyBindings()
    special = Condition(lambda: is_special(get_app().current_buffer.text))

    @keys.add("enter", filter=special & ~has_selection & (vi_insert_mode | emacs_insert_mode) & has_focus(DEFAULT_BUFFER))
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    return keys


__all__ = ["bindings"]
