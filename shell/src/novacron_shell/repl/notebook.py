"""The shell in IPython and notebooks: `%load_ext novacron` gives the same names, displays and `:` commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from IPython.core.formatters import PlainTextFormatter
from rich.console import Console

from novacron.errors import NovaCronError
from novacron_shell.repl.commands import CommandLine
from novacron_shell.repl.display import Displays
from novacron_shell.repl.errors import tell
from novacron_shell.repl.extension import extend
from novacron_shell.repl.jobs import JobBook
from novacron_shell.repl.plugin import ShellPlugin
from novacron_shell.repl.session import open_environment
from novacron_shell.repl.transcript import COMMAND
from novacron_shell.repl.watching import ProgressPolicy
from novacron_shell.settings import Settings

MAGIC = "novacron"


class Notebook:
    """A session of the shell in IPython.

    Args:
        ipython: IPython's `InteractiveShell`.
    """

    def __init__(self, ipython: Any) -> None:
        from novacron.site import default_site

        self._ipython = ipython
        jobs = JobBook()
        progress = ProgressPolicy(jobs)
        plugins = default_site().plugins
        plugins.register(ShellPlugin(progress), "notebook")
        self.shell = open_environment(Settings(), jobs)
        progress.name_of = self.shell.vms.name_of
        self.shell.vms.keep_fresh()
        for problem in extend(self.shell, plugins.hook.extend_shell):
            print(problem, file=sys.stderr)
        self._commands = CommandLine(self.shell)
        self._names = dict(self.shell.names)
        self.shell.names = ipython.user_ns
        self._load()

    def _load(self) -> None:
        ipython, formatters = self._ipython, self._ipython.display_formatter.formatters
        ipython.push({name: value for name, value in self._names.items() if name not in ipython.user_ns})
        self._plain = formatters["text/plain"]
        formatters["text/plain"] = _Plain(self.shell.displays, self._plain, parent=ipython.display_formatter)
        ipython.register_magic_function(self._run, "line", MAGIC)
        ipython.input_transformers_cleanup.append(_command_lines)
        ipython.set_hook("complete_command", self._complete, str_key=f"%{MAGIC}")
        ipython.set_custom_exc((NovaCronError,), self._failed)

    def unload(self) -> None:
        """Remove names, displays and commands from IPython, and close the connections."""
        from novacron.site import default_site

        ipython = self._ipython
        for name, value in self._names.items():
            if ipython.user_ns.get(name) is value:
                del ipython.user_ns[name]
        ipython.display_formatter.formatters["text/plain"] = self._plain
        ipython.magics_manager.magics["line"].pop(MAGIC, None)
        ipython.input_transformers_cleanup.remove(_command_lines)
        ipython.set_custom_exc((), None)
        default_site().plugins.unregister("notebook")
        self.shell.close()
        del ipython.novacron_session

    def _run(self, line: str) -> None:
        """Run a command of NovaCron, as `:` does in the shell: `%novacron vm list`."""
        import click

        try:
            code = self._commands.run(line or "help")
        except (click.ClickException, click.Abort) as error:
            from novacron_shell.main import report

            code = report(error)
        if code:
            print(f"exit code {code}", file=sys.stderr)

    def _complete(self, ipython: Any, event: Any) -> list[str]:
        """Complete a command, for IPython."""
        line = event.line.lstrip().removeprefix(f"%{MAGIC}").lstrip()
        return [text for text, _, _ in self._commands.complete(line)]

    def _failed(self, ipython: Any, kind: type[BaseException], error: NovaCronError, trace: Any, tb_offset: Any = None) -> None:
        """Show an error of NovaCron as a message and a hint; `tb()` shows its traceback."""
        self.shell.error = error
        tell(self.shell.console, error)


class _Plain(PlainTextFormatter):
    """Shows values as the shell does; other values as IPython does."""

    def __init__(self, displays: Displays, other: Any, **options: Any) -> None:
        super().__init__(**options)
        self._displays, self._other = displays, other

    def __call__(self, obj: Any) -> Any:
        """Return the text of a value."""
        try:
            drawn = self._displays.draw(obj)
        except NovaCronError as error:
            drawn = self._displays.draw(error)
        if drawn is None:
            return self._other(obj)
        console = Console()
        with console.capture() as captured:
            console.print(drawn)
        return captured.get().rstrip("\n")


def _command_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines of a cell, with `:` commands as calls of the magic.

    Example:
        >>> _command_lines([":vm list\\n", "x = 1\\n"])
        ["get_ipython().run_line_magic('novacron', 'vm list')\\n", 'x = 1\\n']
    """
    return [
        f"get_ipython().run_line_magic({MAGIC!r}, {line.strip()[1:].strip()!r})\n" if line.startswith(COMMAND) else line
        for line in lines
    ]


def load(ipython: Any) -> None:
    """Load the shell into IPython. A second time does nothing."""
    if getattr(ipython, "novacron_session", None) is None:
        ipython.novacron_session = Notebook(ipython)


__all__ = ["Notebook", "load"]
