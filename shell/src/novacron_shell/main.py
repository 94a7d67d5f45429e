"""The entry point of `novacron`. Everything is loaded when its command is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with the error family's code; never a traceback."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from novacron import __version__

        print(f"novacron {__version__}")
        return
    from novacron.errors import NovaCronError

    try:
        from novacron_shell.cli import cli

        cli.main(prog_name="novacron", standalone_mode=False)
    except NovaCronError as error:
        sys.exit(_tell(error))
    except (KeyboardInterrupt, EOFError):
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has had enough
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - a person gets words, not a traceback
        sys.exit(_usage(error))


def _tell(error: object) -> int:
    """Print an error and its hint for people; return the exit code."""
    print(f"error: {error}", file=sys.stderr)
    if getattr(error, "outcome", "failed") == "unknown":
        print("outcome: unknown, it may have happened", file=sys.stderr)
    if getattr(error, "hint", None):
        print(f"hint: {error.hint}", file=sys.stderr)  # type: ignore[attr-defined]
    return int(getattr(error, "exit_code", 1))


def _usage(error: Exception) -> int:
    import click

    if isinstance(error, click.exceptions.Abort):
        print("interrupted", file=sys.stderr)
        return 130
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        print(f"error: {error.format_message()}", file=sys.stderr)
        if context is not None:
            print(f"hint: `{context.command_path} --help` shows what can be said here", file=sys.stderr)
        return error.exit_code
    import os

    if os.environ.get("NOVACRON_TRACEBACK"):
        raise error
    print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
    print("hint: this is a defect of NovaCron; NOVACRON_TRACEBACK=1 shows where", file=sys.stderr)
    return 70


__all__ = ["main"]
