"""`novacron completion`: the script that lets a shell complete commands and names."""

from __future__ import annotations

import click

from novacron_shell.output import write

SHORT_NAME = {
    "bash": "complete -o nosort -F _novacron_completion nv",
    "zsh": "compdef _novacron_completion nv",
    "fish": 'complete --no-files --command nv --arguments "(_novacron_completion)";',
}
"""Completes the short name of the program in the same way."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for SHELL.

    bash: eval "$(novacron completion bash)"; fish: novacron completion fish | source
    """
    from click.shell_completion import get_completion_class

    from novacron_shell.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    write(kind(cli, {}, "novacron", "_NOVACRON_COMPLETE").source())
    write(SHORT_NAME[shell])


COMMANDS = {"completion": completion}
