"""Fuzzy search in the history: the letters that are typed may have others between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, FuzzyCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.shortcuts import PromptSession

SEARCHED, LONGEST = 5000, 500
"""How many of the latest lines are searched, and characters of the longest line: fuzzy search in long lines is slow."""


class _Lines(Completer):
    """Offers all lines, in their order."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return (Completion(line) for line in self._lines)


class HistorySearch:
    """Searches the history.

    Args:
        lines: the history, latest first.

    Example:
        >>> HistorySearch(["vms", ":vm list web*", "vms.where(tag='web')", "vms"]).matches("vmw")
        ["vms.where(tag='web')", ':vm list web*']
    """

    def __init__(self, lines: Iterable[str]) -> None:
        latest = [line for line in dict.fromkeys(lines) if line.strip() and len(line) <= LONGEST][:SEARCHED]
        self._completer = FuzzyCompleter(_Lines(latest), pattern="^.+")
        self._known = frozenset(latest)

    def matches(self, text: str) -> list[str]:
        """Return the lines that contain the letters of `text` in this order; an early and close match is first."""
        found = self._completer.get_completions(Document(text), CompleteEvent())
        return sorted((each.text for each in found), key=lambda line: text.lower() not in line.lower())

    def chosen(self, text: str) -> str | None:
        """Return the line that Enter takes when `text` is in the search line; None if nothing matches."""
        return text if text in self._known else next(iter(self.matches(text)), None)

    def run(self, input: Input, output: Output, typed: str = "") -> str | None:
        """Let the user search, and return the chosen line; None if the user cancels or nothing matches.

        Args:
            input, output: the terminal.
            typed: what is searched for at first.
        """
        session: PromptSession[str] = PromptSession(
            "search history: ",
            completer=_Ranked(self),
            complete_while_typing=True,
            complete_in_thread=True,
            key_bindings=_keys(),
            erase_when_done=True,
            input=input,
            output=output,
        )
        buffer = session.default_buffer
        try:
            return self.chosen(session.prompt(default=typed, in_thread=True, pre_run=buffer.start_completion))
        except (KeyboardInterrupt, EOFError):
            return None


class _Ranked(Completer):
    """Offers the matches in place of everything that was typed."""

    def __init__(self, search: HistorySearch) -> None:
        self._search = search

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return (Completion(line, -document.cursor_position) for line in self._search.matches(document.text_before_cursor))


def _keys() -> KeyBindings:
    """Ctrl-R goes to the next match; Escape and Ctrl-G cancel."""
    keys = KeyBindings()

    @keys.add("c-r")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.complete_next()

    @keys.add("escape", eager=True)
    @keys.add("c-g")
    def _(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt())

    return keys


__all__ = ["HistorySearch"]
