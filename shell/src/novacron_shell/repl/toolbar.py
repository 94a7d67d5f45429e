"""What stands around the input: the prompt, and below it hosts, VMs, jobs under way, how long the last command took."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prompt_toolkit.filters import Condition, is_done
from prompt_toolkit.formatted_text import AnyFormattedText, StyleAndTextTuples
from prompt_toolkit.layout.containers import ConditionalContainer, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from ptpython.prompt_style import PromptStyle

from novacron.text import printable_line
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.inventory import CONNECTING

BAR, MOST_JOBS = 24, 4
"""Characters of a progress bar, and jobs that have a line of their own."""


class Prompt(PromptStyle):
    """A short prompt: everything else is in the toolbar."""

    def in_prompt(self) -> AnyFormattedText:
        """Before the input."""
        return [("bold", "novacron> ")]

    def in2_prompt(self, width: int) -> AnyFormattedText:
        """Before further lines."""
        return [("", "... ".rjust(width))]

    def out_prompt(self) -> AnyFormattedText:
        """Before a result."""
        return []


class Toolbar:
    """The line at the bottom. Nothing of it does I/O: it says what was read after the last command."""

    def __init__(self, shell: Environment) -> None:
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
            ("", f"  {len(self._vms)} VMs, {running} running"),
        ]
        states = dict(self._vms.unreachable)
        connecting = [name for name, error in states.items() if error == CONNECTING]
        for style, what, names in (
            ("fg:ansiyellow", "connecting", connecting),
            ("fg:ansired bold", "unreachable", [name for name in states if name not in connecting]),
        ):
            if names:
                parts.append((style, f"  {what}: {printable_line(', '.join(names))}"))
        if more := len(self._jobs.running) - MOST_JOBS:
            parts.append(("fg:ansiyellow", f"  {more} more jobs" if more > 0 else ""))
        for item in self._items:
            try:
                parts.append(("", f"  {printable_line(str(item()))}"))
            except Exception:  # noqa: BLE001, S112 - a plugin's item that fails is left out
                continue
        if self.took is not None:
            parts.append(("", f"  took {self.took:.1f} s" if self.took >= 1 else f"  took {1000 * self.took:.0f} ms"))
        parts.append(("fg:ansigray", "  F2 menu  F3 history  Ctrl-D leave"))
        return parts


__all__ = ["Prompt", "Toolbar"]
