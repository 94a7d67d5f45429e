"""One session of the interactive shell."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prompt_toolkit.formatted_text import AnyFormattedText
from ptpython.prompt_style import PromptStyle
from ptpython.repl import PythonRepl
from rich.console import Console
from rich.text import Text

from novacron import __version__
from novacron.errors import NovaCronError
from novacron.state import state_directory
from novacron_shell.options import Settings
from novacron_shell.repl.display import show
from novacron_shell.repl.inventory import Inventory, OpenHosts, namespace
from novacron_shell.repl.watching import ProgressPolicy, ShellPlugin

EAGER = 8
"""Hosts that a session connects to when it starts; a larger fleet is connected host by host when asked for."""
PATIENCE = 5.0


def run(settings: Settings) -> None:
    """Run the shell until the user leaves it."""
    from novacron.plugins.application import application_plugins

    progress = ProgressPolicy()
    application_plugins().register(ShellPlugin(progress), "shell")
    console = Console()
    hosts = OpenHosts()
    failed = connect_all(hosts, settings)
    vms = Inventory(hosts)
    vms.refresh()
    progress.name_of = vms.name_of
    names = namespace(hosts, vms)
    application_plugins().hook.extend_shell(namespace=names)
    console.print(f"[bold]NovaCron {__version__}[/]  hosts: {', '.join(hosts) or 'none'}  VMs: {len(vms)}")
    for name, error in failed.items():
        console.print(f"[red]{name}[/]: {error}")
    console.print("[dim]hosts, vms, fleet(), connect(uri), steps; tb() shows the last traceback; Ctrl-D leaves[/]")
    names["tb"] = lambda: _traceback(console)
    shell = Shell(names, console, vms, _Prompt(hosts, vms, progress))
    try:
        shell.run()
    except SystemExit:
        pass
    finally:
        hosts.close()


def connect_all(hosts: OpenHosts, settings: Settings) -> dict[str, str]:
    """Connect to the host that was named, or to the fleet if it is small; return what failed and why."""
    if settings.connect or settings.host_name:
        hosts.add(settings.host())
        return {}
    from novacron import connect, fleet

    known = fleet().list()
    if len(known) > EAGER:
        return {}

    def one(name: str, uri: str) -> Any:
        try:
            return connect(uri, name=name, timeout=PATIENCE)
        except NovaCronError as error:
            return str(error)

    with ThreadPoolExecutor(EAGER) as pool:
        answers = dict(zip((h.name for h in known), pool.map(lambda h: one(h.name, h.uri), known), strict=True))
    for answer in answers.values():
        if not isinstance(answer, str):
            hosts.add(answer)
    return {name: answer for name, answer in answers.items() if isinstance(answer, str)}


class Shell(PythonRepl):
    """ptpython that prints hosts, VMs and records as tables and cards, and errors as message and hint."""

    def __init__(self, names: dict[str, Any], console: Console, vms: Inventory, prompt: PromptStyle) -> None:
        history = str(state_directory(create=True) / "history")
        super().__init__(get_globals=lambda: names, get_locals=lambda: names, history_filename=history)
        self._console, self._vms = console, vms
        self.title = "NovaCron"
        self.enable_dictionary_completion = True
        self.enable_auto_suggest = True
        self.complete_while_typing = True
        self.confirm_exit = False
        self.show_signature = True
        self.highlight_matching_parenthesis = True
        self.all_prompt_styles["novacron"] = prompt
        self.prompt_style = "novacron"

    def eval(self, line: str) -> object:
        """Run what was typed, then read the inventory again in the background."""
        try:
            return super().eval(line)
        finally:
            self._vms.refresh_soon()

    def _show_result(self, result: object) -> None:
        try:
            drawn = show(result, self._console)
        except NovaCronError as error:
            return self._handle_exception(error)
        if not drawn:
            super()._show_result(result)
        return None

    def _handle_exception(self, e: BaseException) -> None:
        if not isinstance(e, NovaCronError):
            return super()._handle_exception(e)
        sys.last_type, sys.last_value, sys.last_traceback = type(e), e, e.__traceback__
        return _tell(self._console, e)


class _Prompt(PromptStyle):
    """Hosts, VMs, running jobs and unreachable hosts before the prompt; nothing of it does I/O."""

    def __init__(self, hosts: OpenHosts, vms: Inventory, progress: ProgressPolicy) -> None:
        self._hosts, self._vms, self._progress = hosts, vms, progress

    def in_prompt(self) -> AnyFormattedText:
        """Before the input."""
        jobs = f" {len(self._progress.running)} jobs" if self._progress.running else ""
        down = [("class:ansired", f" {len(self._vms.unreachable)} unreachable")] if self._vms.unreachable else []
        return [("class:ansigray", f"{len(self._hosts)} hosts {len(self._vms)} VMs{jobs}"), *down, ("bold", " > ")]

    def in2_prompt(self, width: int) -> AnyFormattedText:
        """Before further lines."""
        return [("", "... ".rjust(width))]

    def out_prompt(self) -> AnyFormattedText:
        """Before a result."""
        return []


def _tell(console: Console, error: NovaCronError) -> None:
    console.print(Text.assemble(("error: ", "bold red"), str(error)))
    if error.outcome == "unknown":
        console.print("[yellow]outcome: unknown, it may have happened[/]")
    if error.hint:
        console.print(Text.assemble(("hint: ", "yellow"), error.hint))


def _traceback(console: Console) -> None:
    from rich.traceback import Traceback

    error = getattr(sys, "last_value", None)
    if error is None:
        console.print("[dim]no error yet[/]")
        return
    console.print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=bool(os.environ.get("NOVACRON_LOCALS")))
    )


__all__ = ["connect_all", "run"]
