"""One session of the interactive shell."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from novacron import __version__
from novacron.errors import NovaCronError
from novacron.state import StateDirectory, state_directory
from novacron.text import printable
from novacron_shell.config import read_config
from novacron_shell.options import Settings
from novacron_shell.repl.config import ShellConfig
from novacron_shell.repl.coroutines import compiled, run_code
from novacron_shell.repl.environment import Environment
from novacron_shell.repl.errors import show_traceback, tell
from novacron_shell.repl.extension import extend
from novacron_shell.repl.inventory import PATIENCE, Inventory, OpenHosts, identifier, namespace
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.opening import Opening
from novacron_shell.repl.themes import use_theme
from novacron_shell.repl.toolbar import Toolbar
from novacron_shell.repl.watching import ProgressPolicy

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle

EAGER = 8
"""Hosts that a session connects to when it starts; a larger fleet is connected host by host when asked for."""


SWITCH = 0.001
"""Seconds that a thread keeps the interpreter while another one waits for it. With Python's 5 ms, threads that open hosts delay typing."""


def run(settings: Settings, *, quiet: bool = False) -> None:
    """Run the shell until the user leaves it; or run what is piped into it.

    The prompt appears first. Then the hosts are opened in the background, and the first line waits for them.

    Args:
        settings: the host that was named, otherwise the fleet.
        quiet: whether to leave out the greeting and the question about interrupted runs.

    Raises:
        NovaCronError: the host that was named can't be opened.
        click.exceptions.Exit: what was piped failed.
    """
    if not sys.stdin.isatty():
        return _run_piped(settings)

    sys.setswitchinterval(SWITCH)
    jobs = JobBook()
    progress = ProgressPolicy(jobs)
    shell = _empty_environment(settings, jobs)
    progress.name_of = shell.vms.name_of
    opening = Opening(shell, settings, progress)
    try:
        _configure(shell)
        if not quiet:
            _greet()
        if not (quiet or shell.started_for):  # a shell for one host opens no database
            offer_interrupted(shell.console)
        if shell.config.startup:
            opening.finish()
        for file in shell.config.startup:
            _run_startup(shell, Path(file).expanduser())
        _loop(shell, progress, opening)
    except SystemExit:
        pass
    finally:
        shell.close()
    return None


def _run_piped(settings: Settings) -> None:
    """Run standard input as a script, with the names of the shell. Hosts that can't be reached are named on standard error."""
    import click

    from novacron.site import default_site
    from novacron_shell.repl.piped import run_piped

    shell = open_environment(settings)
    problems = [f"{name}: {error}" for name, error in shell.vms.unreachable.items()]
    problems += extend(shell, default_site().plugins.hook.extend_shell)
    for problem in problems:
        print(f"error: {printable(problem)}", file=sys.stderr)
    try:
        code = run_piped(shell, sys.stdin.read())
    finally:
        shell.close()
    if code:
        raise click.exceptions.Exit(code)


def _options(settings: Settings) -> tuple[str, ...]:
    """Return the options that chose the hosts of the session."""
    if settings.connect:
        return ("-c", settings.connect)
    return ("--host", settings.host_name) if settings.host_name else ()


def open_environment(settings: Settings, jobs: JobBook | None = None) -> Environment:
    """Connect to the hosts and return a session with its names. Pipes, notebooks and `novacron script` use it.

    Args:
        settings: the host that was named, otherwise the fleet.
        jobs: the book of jobs.
    """
    shell = _empty_environment(settings, jobs or JobBook())
    shell.vms.unreachable = connect_all(shell.hosts, settings)
    namespace(shell.hosts, shell.vms, shell.names)
    shell.vms.refresh()
    add_actions(shell)
    return shell


def _empty_environment(settings: Settings, jobs: JobBook) -> Environment:
    """Return a session without hosts and names of hosts."""
    from novacron_shell.repl.interpreter import command

    hosts = OpenHosts()
    vms = Inventory(hosts, on_return=lambda host: _add_host(shell, host))
    shell = Environment({}, Console(), hosts, vms, jobs, started_for=_options(settings))
    shell.names["tb"] = lambda: show_traceback(shell.console, shell.error)
    shell.names["command"] = command(shell)
    return shell


def _add_host(shell: Environment, host: HostHandle) -> None:
    """Add the name of a host that was connected later; `host` too if it is the only one."""
    shell.names[identifier(host.name)] = host
    if len(shell.hosts) == 1 and not shell.vms.unreachable:
        shell.names["host"] = host


def add_actions(shell: Environment) -> None:
    """Add the names of actions on many VMs, and `wait` and `watch`. Names that exist, such as those of hosts, are kept."""
    from novacron_shell.repl.pipes import ACTIONS, each
    from novacron_shell.repl.waiting import waiting_names

    actions = {action.name: action for action in ACTIONS} | waiting_names(shell.console, shell.displays)
    for name, value in ({"each": each} | actions).items():
        shell.names.setdefault(name, value)


def _configure(shell: Environment) -> None:
    """Read the configuration files. An invalid one is reported, and the defaults apply."""
    try:
        shell.config = ShellConfig.read(state_directory(create=True) / "shell.toml").over(read_config())
    except NovaCronError as error:
        tell(shell.console, error)
    use_theme(shell.console, shell.config.theme)


def _greet() -> None:
    from prompt_toolkit import print_formatted_text
    from prompt_toolkit.formatted_text import FormattedText

    print_formatted_text(FormattedText([("bold", f"NovaCron {__version__}")]))
    hint = "hosts, vms, fleet(), connect(uri), steps, flows; :help commands, ? help; Ctrl-D leaves"
    print_formatted_text(FormattedText([("fg:ansibrightblack", hint)]))


def _loop(shell: Environment, progress: ProgressPolicy, opening: Opening) -> None:
    """Read and run lines until the user leaves.

    Raises:
        NovaCronError: the host that was named can't be opened.
    """
    from novacron_shell.repl.shell import Shell

    history = StateDirectory().private_file(history_file(shell.started_for).name)  # what is typed may be a secret
    prompt = Shell(shell, Toolbar(shell), str(history), progress, opening)
    while True:
        prompt.run()
        if opening.error is None:
            return
        if not opening.repeatable():
            raise opening.error
        opening.finish()


def history_file(options: tuple[str, ...]) -> Path:
    """Return the file of the history: each host that sessions are started for has its own, and the fleet has one.

    Args:
        options: the options that chose the host; empty for the fleet.

    Example:
        >>> history_file(()).name, history_file(("--host", "kvm1")).name, history_file(("-c", "qemu+ssh://kvm1/system")).name
        ('history', 'history-kvm1', 'history-qemu-ssh-kvm1-system')
    """
    host = re.sub(r"[^\w.]+", "-", options[-1])[:100] if options else ""
    return state_directory() / (f"history-{host}" if host else "history")


def _run_startup(shell: Environment, file: Path) -> None:
    try:
        run_code(compiled(file.read_text(), str(file)), shell.names, shell.coroutines)
    except Exception as error:  # noqa: BLE001 - a broken startup file does not keep anybody from the shell
        shell.error = error
        shell.console.print(Text(printable(f"startup file {file}: {type(error).__name__}: {error}"), style="red"))


def offer_interrupted(console: Console) -> None:
    """Ask whether to resume interrupted runs. A running worker resumes them without a question."""
    from novacron.site import default_site

    if not default_site().activity().runs:
        return
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


__all__ = ["connect_all", "run"]
