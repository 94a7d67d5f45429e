"""Groups of commands. A word that is no command is answered with the command that was probably meant."""

from __future__ import annotations

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
                from novacron_shell.familiar import meant_command

                known = self.list_commands(ctx)
                meant = meant_command(ctx, known, args)
                said = f", did you mean {meant}?" if meant else f"; there are {', '.join(known)}" if ctx.parent else ""
                raise click.UsageError(f"no command {args[0]!r}{said}", ctx) from None
            raise


__all__ = ["CommandGroup"]
