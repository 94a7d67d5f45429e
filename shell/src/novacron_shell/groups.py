"""Groups of commands. A word that is no command is answered with the command that was probably meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class CommandGroup(click.Group):
    """A group that names the command that was probably meant when a command does not exist. Groups in it are of this kind too."""

    group_class = type

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command. Raises click.UsageError."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args and not args[0].startswith("-") and not isinstance(error, click.NoSuchOption):
                raise no_command(self, ctx, args) from None
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Groups of plugins, which may be of another kind, answer a word that is no command in the same way."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            word = getattr(error, "command_name", None)  # of click's NoSuchCommand, which click has since 8.4
            if word and error.ctx and isinstance(group := error.ctx.command, click.Group):
                raise no_command(group, error.ctx, [word]) from None
            raise


def no_command(group: click.Group, context: click.Context, words: Sequence[str]) -> click.UsageError:
    """Return the error for words that are no command of a group; it names the command that was probably meant."""
    from novacron_shell.familiar import meant_command

    known = group.list_commands(context)
    meant = meant_command(context, known, words)
    said = f", did you mean {meant}?" if meant else f"; there are {', '.join(known)}" if context.parent else ""
    return click.UsageError(f"no command {words[0]!r}{said}", context)


__all__ = ["CommandGroup", "no_command"]
