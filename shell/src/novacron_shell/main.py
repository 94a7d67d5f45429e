"""The entry point of `novacron`. Everything is loaded when its command is called."""

from __future__ import annotations

import atexit
import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

USAGE, OUTPUT_FAILED, DEFECT, INTERRUPTED = 2, 74, 70, 130
"""Exit codes that belong to no family of errors; docs/command-line.md lists all."""


def main() -> None:
    """Run the command line and exit. Errors are printed as a message and a hint, never as a traceback."""
    ended = [DEFECT]
    atexit.register(_end, ended)  # the first to be registered is the last to be called
    _prepare_streams()
    try:
        code = _run()
    except SystemExit as asked:  # of a script, or of click after it has completed a command line
        code = _code_of(asked)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _output_failed(error)
    ended[0] = code
    sys.exit(code)


def _code_of(asked: SystemExit) -> int:
    """Return the exit code that somebody asked for, as Python itself takes it: anything but a number is a message."""
    if asked.code is None:
        return 0
    if isinstance(asked.code, int):
        return asked.code & 0xFF
    print(asked.code, file=sys.stderr)
    return 1


def _end(code: list[int]) -> None:
    """End the process at once. Threads that wait for a host are still in its SDK, and would crash while its libraries are taken down."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code[0])


def _run() -> int:
    """Run the command line and return its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from novacron import __version__

        print(f"novacron {__version__}")
        return 0
    if "_NOVACRON_COMPLETE" in os.environ and _completed():
        return 0
    try:
        _check_arguments(sys.argv[1:])
        from novacron_shell.cli import cli

        code = cli.main(prog_name="novacron", standalone_mode=False)  # an int is what `Exit` carries
        return code if isinstance(code, int) else 0
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.ENOSPC, errno.EBADF, errno.EIO) and error.filename is None:
            return _output_failed(error)
        return _unexpected(error)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - people get a message, not a traceback
        return report(error)


def _completed() -> bool:
    """Print what completes a command line; False if click has to be asked. What it knows is then stored for the next time."""
    from novacron_shell.quick_completion import answer, learn

    text = answer(os.environ)
    if text is None:
        if os.environ["_NOVACRON_COMPLETE"].endswith("_complete"):
            learn(os.environ)
        return False
    print(text)
    return True


def report(error: BaseException) -> int:
    """Print what went wrong in a command, and return the exit code that stands for it.

    Args:
        error: what the command raised; also what click raises to end a command.
    """
    from novacron.errors import NovaCronError

    if isinstance(error, NovaCronError):
        return _tell(error)
    if isinstance(error, (KeyboardInterrupt, EOFError)):
        for note in getattr(error, "__notes__", ()):
            _say(note)
        return _interrupted()
    return _unexpected(error)


def _prepare_streams() -> None:
    """Let any text be printed whatever the locale says, and keep closed streams from being taken by files."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed by the caller; the next file opened would get its number
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(os.devnull) if name == "stdin" else _Closed(number))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Closed:
    """A standard stream that the caller closed: what is written to it is an error."""

    encoding = "utf-8"

    def __init__(self, number: int) -> None:
        self._number = number
        self.buffer = self

    def write(self, _: object) -> int:
        if self._number == 2:
            return 0
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def flush(self) -> None:
        """Nothing is kept."""

    def isatty(self) -> bool:
        """It is no terminal."""
        return False

    def fileno(self) -> int:
        """Return the number of the stream."""
        return self._number


def _check_arguments(arguments: list[str]) -> None:
    """Reject arguments that are no valid text, unless they name a file. Raises InvalidSpecError."""
    from novacron.errors import InvalidSpecError, SpecProblem

    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            if not os.path.exists(argument):
                problem = SpecProblem(f"argument {number}", argument, "valid text in the locale's encoding (UTF-8)")
                raise InvalidSpecError("invalid command line", problems=[problem]) from None


def _tell(error: object) -> int:
    """Print an error and its hint; return the exit code."""
    _say(f"error: {error}")
    if getattr(error, "outcome", "failed") == "unknown":
        _say("outcome: unknown, it may have happened")
    if getattr(error, "hint", None):
        _say(f"hint: {error.hint}")  # type: ignore[attr-defined]
    return int(getattr(error, "exit_code", 1))


def _say(text: str) -> None:
    from novacron_shell.output import tell

    tell(text)


def _interrupted() -> int:
    _say("interrupted")
    return INTERRUPTED


def _output_failed(error: OSError) -> int:
    """End when the output can't be written. A reader that closed the pipe has had enough: that is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left unwritten would fail again at exit
    if error.errno == errno.EPIPE:
        return 0
    _say(f"error: can't write the output: {os.strerror(error.errno or 0)}")
    return OUTPUT_FAILED


def _unexpected(error: BaseException) -> int:
    import click

    if isinstance(error, click.exceptions.Abort):
        return _interrupted()
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(error.format_message())
        return 0
    if isinstance(error, click.ClickException):
        context, instead = getattr(error, "ctx", None), None
        if isinstance(error, click.NoSuchOption):
            from novacron_shell.familiar import meant_option

            instead = meant_option(context, error.option_name)
            error = click.NoSuchOption(
                error.option_name,
                possibilities=[] if instead else _alike(error.option_name, error.possibilities),
                ctx=context,
            )
        _say(f"error: {error.format_message()}")
        if isinstance(error, click.UsageError) and context is not None:
            usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
            from novacron_shell.familiar import meant_beside

            instead = instead or _near_choice(error) or meant_beside(context)
            instead = f"{instead}{' ' if instead.endswith('?') else '; '}" if instead else ""
            _say(f"hint: {instead}the usage is `{usage}`; `--help` explains its options")
        return error.exit_code
    if os.environ.get("NOVACRON_TRACEBACK"):
        raise error
    _say(f"error: {type(error).__name__}: {error}")
    _say("hint: this is a defect of NovaCron; NOVACRON_TRACEBACK=1 shows where")
    return DEFECT


def _near_choice(error: Any) -> str:
    """Return which of an option's values was probably meant; "" if none, or if the error is about something else."""
    import re

    from novacron.errors import SpecProblem

    given = re.match(r"'(.*)' is not one of", str(error.message))
    choices = getattr(getattr(getattr(error, "param", None), "type", None), "choices", ())
    near = SpecProblem("option", given[1], "one of " + ", ".join(map(str, choices))).near() if given else []
    return f"did you mean {' or '.join(near)}?" if near else ""


def _alike(option: str, suggested: Sequence[str] | None) -> list[str]:
    """Return those of the suggested options whose name is like the given one. click compares the dashes too, so "--size" is like "--file".

    Example:
        >>> _alike("--size", ["--file", "--sizes"]), _alike("--set", ["--host"])
        (['--sizes'], [])
    """
    import difflib

    names = {each.lstrip("-"): each for each in suggested or ()}
    return [names[name] for name in difflib.get_close_matches(option.lstrip("-"), names, cutoff=0.65)]


__all__ = ["main", "report"]
