"""One session of the interactive shell."""

from __future__ import annotations

import builtins
import difflib
import os
import sys
import time
import traceback
from typing import Any

from ptpython.repl import PythonRepl
from rich.console import Console
from rich.text import Text

from novacron import __version__
from novacron.errors import NovaCronError, either
from novacron.state import state_directory
from novacron.text import printable
from novacron_shell.options import Settings
from novacron_shell.repl.display import show
from novacron_shell.repl.inventory import PATIENCE, Inventory, OpenHosts, identifier, namespace
from novacron_shell.repl.toolbar import Prompt, Toolbar
from novacron_shell.repl.watching import ProgressPolicy, ShellPlugin

EAGER = 8
"""Hosts that a session connects to when it starts; a larger fleet is connected host by host when asked for."""


def run(settings: Settings) -> None:
    """Run the shell until the user leaves it."""
    from novacron.site import default_site

    progress = ProgressPolicy()
    default_site().plugins.register(ShellPlugin(progress), "shell")
    console = Console()
    hosts = OpenHosts()
    failed = connect_all(hosts, settings)
    vms = Inventory(hosts, on_return=lambda host: names.__setitem__(identifier(host.name), host))
    names = namespace(hosts, vms)
    vms.unreachable = dict(failed)
    vms.refresh()
    vms.keep_fresh()
    progress.name_of = vms.name_of
    default_site().plugins.hook.extend_shell(namespace=names)
    summary = f"  hosts: {', '.join(hosts) or 'none'}  VMs: {len(vms)}"
    console.print(Text.assemble((f"NovaCron {__version__}", "bold"), printable(summary)))
    for name, error in failed.items():
        console.print(Text.assemble((printable(name), "red"), printable(f": {error}")))
    console.print("[dim]hosts, vms, fleet(), connect(uri), steps, flows; tb() shows the last traceback; Ctrl-D leaves[/]")
    if not (settings.connect or settings.host_name):  # a shell for one host is there at once; the fleet's has the database open
        offer_interrupted(console)
    names["tb"] = lambda: _traceback(console)
    shell = Shell(names, console, vms, Toolbar(hosts, vms, progress))
    try:
        shell.run()
    except SystemExit:
        pass
    finally:
        vms.close()
        hosts.close()


def offer_interrupted(console: Console) -> None:
    """Ask whether to resume interrupted runs. A running worker resumes them without a question."""
    from novacron import fleet
    from novacron.workflow.nodes import names_of

    runs = fleet().runs
    cut = [record for record in runs.list(unfinished=True, limit=None) if record.status == "interrupted"]
    if not cut or runs.workers():
        return
    console.print(f"[yellow]{len(cut)} {'runs were' if len(cut) > 1 else 'run was'} cut off when the process ended:[/]")
    for record in cut[:5]:
        console.print(Text(printable(f"  {record.id}  {record.name or record.flow} of {names_of(record.vms)}")))
    if len(cut) > 5:
        console.print(f"  and {len(cut) - 5} more: novacron run list --unfinished")
    try:
        answer = console.input("Resume them here? First the hypervisor is asked what happened. [bold][Y/n][/] ")
    except (EOFError, KeyboardInterrupt):
        answer = "n"
    if answer.strip().lower() in ("", "y", "yes"):
        begun = runs.recover()
        console.print(f"resuming {len(begun)} of {len(cut)}; fleet().runs.list() shows their progress")
    else:
        console.print(f"[dim]novacron run resume {cut[0].id} resumes one, novacron run cancel undoes it[/]")


def connect_all(hosts: OpenHosts, settings: Settings) -> dict[str, str]:
    """Connect to the host that was named, or to the fleet if it is small; return what failed and why."""
    if settings.connect or settings.host_name:
        hosts.add(settings.host())
        return {}
    from novacron import fleet

    names = [host.name for host in fleet().list()]
    if len(names) > EAGER:
        return {}
    answers = fleet().ask(names, lambda host: host, timeout=PATIENCE)
    for answer in answers:
        if answer.error is None:
            hosts.add(answer.value)
    return {answer.host: str(answer.error) for answer in answers if answer.error is not None}


class Shell(PythonRepl):
    """ptpython that prints hosts, VMs and records as tables and cards, and errors as message and hint."""

    def __init__(self, names: dict[str, Any], console: Console, vms: Inventory, toolbar: Toolbar) -> None:
        history = str(state_directory(create=True) / "history")
        super().__init__(
            get_globals=lambda: names, get_locals=lambda: names, history_filename=history, _extra_toolbars=[toolbar.drawn()]
        )  # fmt: skip
        self._console, self._vms, self._toolbar = console, vms, toolbar
        self.title = "NovaCron"
        self.enable_dictionary_completion = True
        self.enable_auto_suggest = True
        self.complete_while_typing = True
        self.confirm_exit = False
        self.show_signature = True
        self.highlight_matching_parenthesis = True
        self.show_status_bar = False
        self.app.refresh_interval = 1.0  # the toolbar shows what was read in the background
        self.all_prompt_styles["novacron"] = Prompt()
        self.prompt_style = "novacron"

    def eval(self, line: str) -> object:
        """Run what was typed, then read the inventory again in the background."""
        began = time.monotonic()
        try:
            return super().eval(line)
        finally:
            self._toolbar.took = time.monotonic() - began
            self._vms.refresh_soon()

    def _show_result(self, result: object) -> None:
        try:
            drawn = show(result, self._console)
        except NovaCronError as error:
            return self._handle_exception(error)
        if not drawn:
            shown = repr(result)
            super()._show_result(result if printable(shown) == shown else _Shown(printable(shown)))
        return None

    def _handle_exception(self, e: BaseException) -> None:
        if not isinstance(e, (NovaCronError, AttributeError, NameError, KeyError)):
            return super()._handle_exception(e)
        sys.last_type, sys.last_value, sys.last_traceback = type(e), e, e.__traceback__
        if isinstance(e, NovaCronError):
            return _tell(self._console, e)
        if not _in_what_was_typed(e):
            return super()._handle_exception(e)
        return self._console.print(Text.assemble(("error: ", "bold red"), printable(_mistyped(e, self.get_globals()))))


class _Shown:
    """A result whose repr holds control characters: they are shown as escapes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _in_what_was_typed(error: BaseException) -> bool:
    """Whether an error comes from the typed line itself, and not from code that it called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == "<stdin>"


def _mistyped(error: AttributeError | NameError | KeyError, names: dict[str, Any]) -> str:
    """Return what is wrong with a name that is not there, and what was probably meant."""
    if isinstance(error, KeyError):
        return f"nothing there is called {error.args[0]!r}" if error.args else "no such key"
    known = dir(error.obj) if isinstance(error, AttributeError) else [*names, *dir(builtins)]
    near = difflib.get_close_matches(error.name or "", [name for name in known if not name.startswith("_")], n=3)
    return f"{error}" + (f"; did you mean {either(near)}?" if near else "")


def _tell(console: Console, error: NovaCronError) -> None:
    console.print(Text.assemble(("error: ", "bold red"), printable(str(error))))
    if error.outcome == "unknown":
        console.print("[yellow]outcome: unknown, it may have happened[/]")
    if error.hint:
        console.print(Text.assemble(("hint: ", "yellow"), printable(error.hint)))


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
