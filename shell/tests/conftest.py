"""A session of the interactive shell without a terminal."""

import io
import itertools

import pytest
from rich.console import Console

import novacron

SESSIONS = itertools.count()


class Session:
    """A session for one simulated host, and what it printed."""

    def __init__(self, world, console_width=120, **options):
        from novacron_shell.repl.environment import Environment
        from novacron_shell.repl.interpreter import Interpreter, command
        from novacron_shell.repl.inventory import Inventory, OpenHosts, namespace

        hosts = OpenHosts()
        self.host = hosts.add(novacron.connect(f"sim://{world}?vms=3"))
        vms = Inventory(hosts)
        vms.refresh()
        self.printed = io.StringIO()
        console = Console(file=self.printed, width=console_width)
        self.shell = Environment(
            namespace(hosts, vms), console, hosts, vms, started_for=("-c", f"sim://{world}?vms=3"), **options
        )
        self.shell.names["command"] = command(self.shell)
        self.interpreter = Interpreter(self.shell, lambda line: eval(line, self.shell.names))
        self.shell.evaluate = self.interpreter.evaluate

    def run(self, line):
        """Run a line and return what was printed to the session's console."""
        before = self.printed.tell()
        self.interpreter.evaluate(line)
        return self.printed.getvalue()[before:]


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path))
    world = f"session-{next(SESSIONS)}"
    made = Session(world)
    yield made
    made.shell.close()
