"""`novacron shell` and `novacron script`."""

from __future__ import annotations

import sys

import click

from novacron_shell.options import Settings, common_options
from novacron_shell.output import tell


@click.command("shell")
@click.option("-q", "--quiet", is_flag=True, help="No greeting, and no question about interrupted runs.")
@common_options
def shell(settings: Settings, quiet: bool) -> None:
    """Start the interactive shell: Python with the fleet's hosts and VMs."""
    from novacron_shell.repl.session import run as run_session

    run_session(settings, quiet=quiet)


@click.command("script", context_settings={"ignore_unknown_options": True})
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@common_options
def script_(settings: Settings, script: str, arguments: tuple[str, ...]) -> None:
    """Run a Python SCRIPT with the shell's names: hosts, vms, connect, steps, VMSpec, ..."""
    import runpy
    from pathlib import Path

    from novacron.errors import NovaCronError
    from novacron_shell.repl.coroutines import compiled, is_coroutine, run_code
    from novacron_shell.repl.session import open_environment

    shell = open_environment(settings)
    for name, error in shell.vms.unreachable.items():
        tell(f"error: {name}: {error}")
    sys.argv = [script, *arguments]
    try:
        text = Path(script).read_bytes()
        if is_coroutine(code := compiled(text, script)):  # runpy does not accept an `await` outside of functions
            run_code(code, shell.names | {"__name__": "__main__", "__file__": script}, shell.coroutines)
        else:
            runpy.run_path(script, init_globals=shell.names, run_name="__main__")
    except (NovaCronError, click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - an error of the script, not of NovaCron
        report_script(error, script)
        raise click.exceptions.Exit(1) from None
    finally:
        shell.close()


def report_script(error: Exception, script: str) -> None:
    """Print the traceback of an error in a script, from the script's own code on."""
    import traceback

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != script:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames or error.__traceback__, file=sys.stderr)


COMMANDS = {"shell": shell, "script": script_}
