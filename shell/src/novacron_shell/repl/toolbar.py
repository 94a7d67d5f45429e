"""What stands around the input: the prompt, and below it hosts, VMs, jobs under way, how long the last command took."""

from __future__ import annotations

from collections import Counter
from typing import Any

from prompt_toolkit.filters import is_done
from prompt_toolkit.formatted_text import AnyFormattedText, StyleAndTextTuples
from prompt_toolkit.layout.containers import ConditionalContainer, Window
from prompt_toolkit.layout.controls import FormattedTextControl
from ptpython.prompt_style import PromptStyle

from novacron.text import printable_line
from novacron_shell.repl.inventory import Inventory, OpenHosts
from novacron_shell.repl.jobs import JobBook


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

    def __init__(self, hosts: OpenHosts, vms: Inventory, jobs: JobBook) -> None:
        self._hosts, self._vms, self._jobs = hosts, vms, jobs
        self.took: float | None = None

    def drawn(self) -> Any:
        """Return the toolbar as prompt_toolkit draws it."""
        line = Window(FormattedTextControl(self.text), height=1, style="class:status-toolbar")
        return ConditionalContainer(line, filter=~is_done)  # gone from what was typed before

    def text(self) -> StyleAndTextTuples:
        """Return the line."""
        running = Counter(vm.status for vm in self._vms.values())["running"]
        parts: StyleAndTextTuples = [
            ("bold", f" {printable_line(', '.join(self._hosts)) if 0 < len(self._hosts) < 4 else f'{len(self._hosts)} hosts'}"),
            ("", f"  {len(self._vms)} VMs, {running} running"),
        ]
        if self._vms.unreachable:
            parts.append(("fg:ansired bold", f"  unreachable: {printable_line(', '.join(self._vms.unreachable))}"))
        for job in self._jobs.running[:2]:
            parts.append(("fg:ansiyellow", f"  {printable_line(f'{job.title} {job.words}')}"))
        if self.took is not None:
            parts.append(("", f"  took {self.took:.1f} s" if self.took >= 1 else f"  took {1000 * self.took:.0f} ms"))
        parts.append(("fg:ansigray", "  F2 menu  F3 history  Ctrl-D leave"))
        return parts


__all__ = ["Prompt", "Toolbar"]
