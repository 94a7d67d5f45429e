"""What stands around the input: the prompt, and below it hosts, VMs, alerts, runs, jobs, how long the last command took."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import AnyFormattedText, StyleAndTextTuples
from prompt_toolkit.layout.containers import ConditionalContainer, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from ptpython.prompt_style import PromptStyle

from novacron.errors import NovaCronError
from novacron.store.activity import Activity
from novacron.text import printable_line
from novacron.threads import in_thread
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.inventory import CONNECTING

BAR, MOST_JOBS = 24, 4
"""Characters of a progress bar, and jobs that have a line of their own."""


LONGEST_NAME = 24
"""Characters of the host's name in the prompt."""
ACTIVITY_AGE = 3.0
"""Seconds after which runs and alerts are read again."""
HEALTH = {"connected": ("●", "fg:ansigreen"), "connecting": ("○", "fg:ansiyellow"), "unreachable": ("✘", "fg:ansired bold")}
"""Sign and style of the connections. The signs differ, too, for terminals without colours."""


def health(shell: Environment) -> str:
    """Return the state of the session's connections: "unreachable" if any host does not answer, "connecting", or "connected"."""
    states = list(shell.vms.unreachable.values())
    if any(state != CONNECTING for state in states):
        return "unreachable"
    return "connecting" if states or (shell.started_for and not shell.hosts) else "connected"


def place(shell: Environment) -> str:
    """Return the name of the host that a session is for; "fleet" for all registered hosts."""
    if not shell.started_for:
        return "fleet"
    chosen = shell.started_for[-1]
    name = next(iter(shell.hosts), None) or (urlsplit(chosen).hostname or urlsplit(chosen).scheme if "://" in chosen else chosen)
    return printable_line(name)[:LONGEST_NAME]


class Prompt(PromptStyle):
    """A short prompt: the host or the fleet, and whether it answers. Everything else is in the toolbar.

    Args:
        shell: the session.
    """

    def __init__(self, shell: Environment) -> None:
        self._shell = shell

    def in_prompt(self) -> AnyFormattedText:
        """Before the input. Its width stays, whatever the state of the connections, so that the input does not move."""
        sign, style = HEALTH[health(self._shell)]
        return [("", f"{place(self._shell)} "), (style, sign), ("bold", " novacron> ")]

    def in2_prompt(self, width: int) -> AnyFormattedText:
        """Before further lines."""
        return [("", "... ".rjust(width))]

    def out_prompt(self) -> AnyFormattedText:
        """Before a result."""
        return []


class ActivityWatch:
    """The number of runs and alerts, read in the background.

    Args:
        read: reads them; called in a thread.
    """

    def __init__(self, read: Callable[[], Activity]) -> None:
        self._read, self._known = read, Activity()
        self._asked_at = float("-inf")

    def __call__(self) -> Activity:
        """Return what was read last. Old numbers are read again; until then they are shown."""
        if time.monotonic() - self._asked_at >= ACTIVITY_AGE:
            self._asked_at = float("inf")  # one reading at a time
            in_thread(self._refresh, "novacron-activity")
        return self._known

    def _refresh(self) -> None:
        try:
            with suppress(NovaCronError):
                self._known = self._read()
        finally:
            self._asked_at = time.monotonic()


def _activity() -> Activity:
    from novacron.site import default_site

    return default_site().activity()


class Toolbar:
    """The line at the bottom. Nothing of it does I/O: it says what was read in the background.

    Args:
        shell: the session.
        activity: returns the number of runs and alerts as they are known now.
    """

    def __init__(self, shell: Environment, activity: Callable[[], Activity] | None = None) -> None:
        self._activity = activity or ActivityWatch(_activity)
        self._hosts, self._vms, self._jobs = shell.hosts, shell.vms, shell.jobs
        self._items = shell.toolbar_items
        self.took: float | None = None

    def drawn(self) -> list[Any]:
        """Return the lines below the input as prompt_toolkit draws them: one for each running job, and the toolbar."""
        line = Window(FormattedTextControl(self.text), height=1, style="class:status-toolbar")
        jobs = Window(FormattedTextControl(self.jobs), height=lambda: len(self._jobs.running[:MOST_JOBS]))
        running = Condition(lambda: bool(self._jobs.running))
        return [ConditionalContainer(jobs, filter=~is_done & running), ConditionalContainer(line, filter=~is_done)]

    def jobs(self) -> StyleAndTextTuples:
        """Return a line for each running job: bar, per cent, amount, rate, time left."""
        parts: StyleAndTextTuples = []
        for job in self._jobs.running[:MOST_JOBS]:
            share = job.job.progress.fraction if job.job is not None else None
            full = round((share or 0.0) * BAR)
            parts += [("fg:ansigreen", " " + "━" * full), ("fg:ansibrightblack", "━" * (BAR - full))]
            parts.append(("", f" {job.number}: {printable_line(f'{job.title} {job.words}')}\n"))
        return parts

    def text(self) -> StyleAndTextTuples:
        """Return the line."""
        running = Counter(vm.status for vm in self._vms.values())["running"]
        parts: StyleAndTextTuples = [
            ("bold", f" {printable_line(', '.join(self._hosts)) if 0 < len(self._hosts) < 4 else f'{len(self._hosts)} hosts'}"),
            ("", f"  {len(self._vms)} VM{'s' if len(self._vms) != 1 else ''}, {running} running"),
        ]
        states = dict(self._vms.unreachable)
        connecting = [name for name, error in states.items() if error == CONNECTING]
        for style, what, names in (
            ("fg:ansiyellow", "connecting", connecting),
            ("fg:ansired bold", "unreachable", [name for name in states if name not in connecting]),
        ):
            if names:
                parts.append((style, f"  {what}: {printable_line(', '.join(names))}"))
        activity = self._activity()
        for style, count, word in (("fg:ansired bold", activity.alerts, "alert"), ("fg:ansiyellow", activity.runs, "run")):
            if count:
                parts.append((style, f"  {count} {word}{'s' if count > 1 else ''}"))
        if jobs := len(self._jobs.running):
            text = f"{jobs - MOST_JOBS} more jobs" if jobs > MOST_JOBS else f"{jobs} job{'s' if jobs > 1 else ''}"
            parts.append(("fg:ansiyellow", f"  {text}"))
        for item in self._items:
            try:
                parts.append(("", f"  {printable_line(str(item()))}"))
            except Exception:  # noqa: BLE001, S112 - a plugin's item that fails is left out
                continue
        if self.took is not None:
            parts.append(("", f"  took {self.took:.1f} s" if self.took >= 1 else f"  took {1000 * self.took:.0f} ms"))
        parts.append(("fg:ansigray", "  F2 menu  Ctrl-R search  Ctrl-D leave"))
        return parts


__all__ = ["ActivityWatch", "Prompt", "Toolbar", "health", "place"]
