"""`novacron config`: the configuration file and what it says."""

from __future__ import annotations

import dataclasses

import click

from novacron_shell.config import config_file, read_config
from novacron_shell.options import Settings, common_options
from novacron_shell.output import show_one, write


@click.command("config")
@click.option("--path", is_flag=True, help="Print the path of the configuration file only.")
@common_options
def config(settings: Settings, path: bool) -> None:
    """Show the configuration file and what it says.

    The keys are host, output, timeout, theme and [aliases]; docs/command-line.md explains them.
    """
    if path:
        write(str(config_file()))
        return
    show_one({"file": str(config_file()), **dataclasses.asdict(read_config())}, settings.output)


COMMANDS = {"config": config}
