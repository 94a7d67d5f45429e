"""An example of a plugin that extends the interactive shell. Load it with NOVACRON_PLUGINS=/path/to/example_extension.

An installed distribution declares it instead:

    [project.entry-points."novacron.plugins"]
    example_extension = "example_extension"
"""

from __future__ import annotations

from collections.abc import Iterable

import click

from novacron.hookspecs.application import ShellExtension
from novacron.plugins import hookimpl

TICKETS = {"OPS-1": "replace the disk of db1", "OPS-2": "patch web1"}


class Ticket:
    """A ticket of a help desk."""

    def __init__(self, number: str) -> None:
        self.number = number


@click.command("ticket")
@click.argument("number")
def ticket(number: str) -> None:
    """Show the ticket NUMBER."""
    click.echo(f"{number}: {TICKETS.get(number, 'no such ticket')}")


def numbers(text: str) -> Iterable[str]:
    """Complete the numbers of tickets after `Ticket(`."""
    return TICKETS if "Ticket(" in text else ()


@hookimpl
def extend_shell(shell: ShellExtension) -> None:
    """Add one of each: a name, a command, a completer, a display, a key and an item of the toolbar."""
    shell.names["Ticket"] = Ticket
    shell.add_command(ticket)
    shell.add_completer("tickets", numbers)
    shell.add_display(Ticket, lambda found: f"ticket {found.number}: {TICKETS.get(found.number)}")
    shell.add_key("f6", lambda: shell.names.update(pressed=True), "note that F6 was pressed")
    shell.add_toolbar_item(lambda: f"{len(TICKETS)} tickets")
