"""The shell's own `:` commands: why, jobs, time, history, save, load, edit, alias, unalias, help."""

from __future__ import annotations

import fnmatch
import time as clock
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from novacron.errors import OperationCancelledError
from novacron.text import printable, printable_line
from novacron.units import format_duration
from novacron_shell.progress import follow
from novacron_shell.repl.coroutines import compiled, run_code
from novacron_shell.repl.environment import Environment, ShellSettings
from novacron_shell.repl.transcript import COMMAND


def session() -> Environment:
    """Return the session whose command runs."""
    settings = click.get_current_context().find_object(ShellSettings)
    if settings is None:
        raise click.UsageError("this command works in the interactive shell only")
    return settings.shell


@click.command("why")
def why() -> None:
    """Show all of the last error: its causes, the hypervisor's own words, and what to do."""
    from novacron_shell.repl.why import chain

    shell = session()
    if shell.error is None:
        shell.console.print("[dim]no error yet[/]")
    else:
        shell.console.print(chain(shell.error))


def _numbers(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    settings = context.find_object(ShellSettings)
    running = settings.shell.jobs.running if settings else []
    return [CompletionItem(str(job.number), help=job.title) for job in running if str(job.number).startswith(incomplete)]


@click.command("jobs")
@click.argument("number", required=False, type=int, shell_complete=_numbers)
@click.option("--cancel", is_flag=True, help="Cancel the job NUMBER and wait until it has rolled back.")
def jobs(number: int | None, cancel: bool) -> None:
    """List the long operations of this session; or wait for the one with this NUMBER, with its progress."""
    from novacron_shell.repl.display import table

    shell = session()
    if number is None:
        if cancel:
            raise click.UsageError("give the number of the job to cancel")
        rows = [
            (str(j.number), j.title, j.host, j.status, format_duration(round(j.seconds, 1)), j.words) for j in shell.jobs.all()
        ]
        shell.console.print(table(("number", "job", "host", "status", "took", "progress"), rows))
        return
    listed = shell.jobs[number]
    if listed.job is None or listed.ended is not None:
        shell.console.print(
            f"{listed.number}: {printable_line(listed.title)} {listed.status} {printable_line(listed.words)}".rstrip()
        )
        return
    if not cancel:
        follow(listed.job, listed.title)
        return
    listed.job.cancel()
    try:
        follow(listed.job, listed.title)
    except OperationCancelledError as error:
        if error.outcome != "failed":
            raise
        shell.console.print(f"{printable_line(listed.title)}: cancelled and rolled back", markup=False)


@click.command("time", context_settings={"ignore_unknown_options": True})
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED)
def time(line: tuple[str, ...]) -> None:
    """Run LINE, Python or a `:` command, and print how long it took. What is no Python is taken as a command."""
    shell, text = session(), _completed(" ".join(line))
    began, used = clock.perf_counter(), clock.process_time()
    value = shell.evaluate(text)
    took, cpu = clock.perf_counter() - began, clock.process_time() - used
    if value is not None:
        shell.displays.show(value, shell.console)
    shell.console.print(f"took {_seconds(took)}, processor {_seconds(cpu)}", style="dim", highlight=False)


def _completed(text: str) -> str:
    """Return a line with the colon that was left out before a command."""
    from novacron_shell.repl.interpreter import is_special

    if not is_special(text):
        try:
            compiled(text)
        except SyntaxError:
            return COMMAND + text
    return text


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


@click.command("history")
@click.argument("pattern", required=False)
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="How many lines.")
def history(pattern: str | None, number: int) -> None:
    """Print what was typed last, in earlier sessions too; only lines that contain or match PATTERN."""
    shell = session()
    lines = [line for line in shell.history() if pattern is None or pattern in line or fnmatch.fnmatch(line, pattern)]
    for line in lines[-number:]:
        shell.console.print(printable(line), markup=False, highlight=False)


@click.command("save")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def save(file: Path) -> None:
    """Save this session as a new Python script FILE, which `novacron script` runs."""
    shell = session()
    try:
        startup = [str(Path(name).expanduser().absolute()) for name in shell.config.startup]
        shell.transcript.save(file.expanduser(), shell.started_for, startup)
    except OSError as error:
        raise click.FileError(str(file), str(error.strerror)) from None
    shell.console.print(
        f"saved {printable_line(str(file))}; run it with: novacron script {printable_line(str(file))}", markup=False
    )


@click.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def load(file: Path) -> None:
    """Run the Python FILE in this session; its names stay."""
    _execute(session(), file.read_text(), str(file))


@click.command("edit")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def edit(file: Path | None) -> None:
    """Edit FILE, or the last input, in $EDITOR, and run it."""
    shell = session()
    if file is not None:
        click.edit(filename=str(file))
        if file.exists():
            _execute(shell, file.read_text(), str(file))
        return
    last = next((entry.text for entry in reversed(shell.transcript.entries) if not entry.text.startswith(":")), "")
    text = click.edit(last + "\n", extension=".py")
    if text and text.strip():
        _execute(shell, text, "<edited>")


def _execute(shell: Environment, text: str, name: str) -> None:
    run_code(compiled(text, name), shell.names, shell.coroutines)
    shell.transcript.add(text, len(shell.transcript.entries) + 1)


@click.command("alias")
@click.argument("definition", required=False)
def alias(definition: str | None) -> None:
    """List aliases, or define one: `:alias ll vm list -o wide`. It is kept for later sessions."""
    from novacron_shell.repl.display import table

    shell = session()
    if definition is None:
        shell.console.print(table(("alias", "command"), sorted(shell.config.aliases.items())))
        return
    name, _, line = definition.partition(" ")
    if not line.strip():
        raise click.UsageError("give the name and the command line: alias ll vm list -o wide")
    shell.config.save_alias(name, line.strip().removeprefix(":"))


def _aliases(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    settings = context.find_object(ShellSettings)
    known: dict[str, Any] = settings.shell.config.aliases if settings else {}
    return [CompletionItem(name) for name in known if name.startswith(incomplete)]


@click.command("unalias")
@click.argument("name", shell_complete=_aliases)
def unalias(name: str) -> None:
    """Remove the alias NAME."""
    shell = session()
    if name not in shell.config.aliases:
        raise click.UsageError(f"there is no alias {name!r}")
    shell.config.save_alias(name, None)


@click.command("help")
@click.argument("words", nargs=-1)
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the help of the command WORDS, or of all commands."""
    root = context.find_root()
    command: click.Command = root.command
    inner = root
    for word in words:
        found = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"there is no command {' '.join(words)!r}")
        inner, command = click.Context(found, info_name=word, parent=inner), found
    click.echo(command.get_help(inner))


WORDS = {
    "why": why,
    "jobs": jobs,
    "time": time,
    "history": history,
    "save": save,
    "load": load,
    "edit": edit,
    "alias": alias,
    "unalias": unalias,
    "help": help_,
}
