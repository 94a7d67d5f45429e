"""Completers of plugins, isolated: one that hangs or raises costs its own suggestions, and is switched off when it goes on failing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from novacron.threads import in_thread

PATIENCE = 0.25
"""Seconds that a plugin's completer may take."""
FAILURES = 3
"""Failures in a row after which it is not asked again in this session."""


class IsolatedCompleter:
    """Asks the completer of a plugin.

    Args:
        name: whose it is, for messages.
        complete: called with the text before the cursor; returns texts that may follow the last word.
        problem: called once with a message when it is switched off.

    Example:
        >>> IsolatedCompleter("mine", lambda text: ["web1", "web2"]).ask("we")
        ['web1', 'web2']
        >>> IsolatedCompleter("broken", lambda text: 1 / 0).ask("we")
        []
    """

    def __init__(
        self, name: str, complete: Callable[[str], Iterable[str]], problem: Callable[[str], object] = lambda _: None
    ) -> None:
        self.name, self._complete, self._problem = name, complete, problem
        self._running: Future[Any] | None = None
        self._failed = 0

    @property
    def enabled(self) -> bool:
        """Whether it is still asked."""
        return self._failed < FAILURES

    def ask(self, text: str) -> list[str]:
        """Return its suggestions; nothing if it fails, takes too long, or an earlier call has not ended."""
        if not self.enabled or (self._running is not None and not self._running.done()):
            return []
        self._running = in_thread(lambda: [str(each) for each in self._complete(text)], f"novacron-completer-{self.name}")
        try:
            found: list[str] = self._running.result(PATIENCE)
        except TimeoutError:
            self._fail(f"took more than {PATIENCE:g} s")
            return []
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything
            self._fail(f"{type(error).__name__}: {error}")
            return []
        self._failed = 0
        return found

    def _fail(self, why: str) -> None:
        self._failed += 1
        if not self.enabled:
            self._problem(f"the completer {self.name} is switched off for this session: {why}")


__all__ = ["IsolatedCompleter"]
