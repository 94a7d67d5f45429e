"""Run `novacron` commands in processes of their own, quickly: for tests of commands, also those of plugins.

A server process imports the command line once and forks for each command. Each command is a real process with its own
arguments, environment, standard streams and exit code, but without the start-up time of Python.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import IO, Any, NoReturn, cast

STREAMS = {"stdin": os.O_RDONLY, "stdout": os.O_WRONLY | os.O_CREAT, "stderr": os.O_WRONLY | os.O_CREAT}
PRELOADED = (
    "novacron.site",
    "novacron.drivers.sim.plugin",
    "novacron.specs",
    "novacron.store.database",
    "novacron.workflow",
    "yaml",
)


class CommandServer:
    """Runs commands one after the other.

    Example:
        >>> with CommandServer() as server:
        ...     server.run(["--version"], environment={}).stdout
        'novacron 0.1.0\\n'
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._guard = threading.Lock()

    def __enter__(self) -> CommandServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run `novacron ARGUMENTS` and return its exit code and output, as `subprocess.run` does.

        Args:
            arguments: the arguments after `novacron`.
            environment: all environment variables of the process.
            stdin: text for its standard input, which is a file and no terminal.
            timeout: seconds that it may take; then it is killed and its exit code is -9.
        """
        with tempfile.TemporaryDirectory(prefix="novacron-command-") as folder, self._guard:
            place = Path(folder)
            (place / "stdin").write_text(stdin or "")
            asked = {"arguments": list(arguments), "environment": dict(environment), "folder": folder, "timeout": timeout}
            code = self._ask(asked)
            output, errors = ((place / name).read_text() for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(arguments, code, output, errors)

    def close(self) -> None:
        """End the server."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate()

    def _ask(self, asked: dict[str, Any]) -> int:
        if self._process is None:
            command = [sys.executable, "-c", "from novacron_shell.testing import serve; serve()"]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        to_server, from_server = cast("IO[str]", self._process.stdin), cast("IO[str]", self._process.stdout)
        to_server.write(json.dumps(asked) + "\n")
        to_server.flush()
        return int(from_server.readline())


def serve() -> None:
    """Fork for each line of standard input, and write the exit codes to standard output (the server process)."""
    import novacron_shell.commands as commands

    names = [*PRELOADED, "novacron_shell.main", "novacron_shell.cli"]
    for name in names + [f"novacron_shell.commands.{module.name}" for module in iter_modules(commands.__path__)]:
        with contextlib.suppress(ImportError):
            import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _command(asked)
        timer = threading.Timer(asked["timeout"], os.kill, (child, 9))
        timer.start()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        print(os.waitstatus_to_exitcode(status), flush=True)


def _command(asked: dict[str, Any]) -> NoReturn:
    """Become the command: its streams, environment and arguments."""
    for number, (name, flags) in enumerate(STREAMS.items()):
        os.dup2(os.open(Path(asked["folder"]) / name, flags, 0o600), number)
        setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["novacron", *asked["arguments"]]
    code: Any = 0
    try:
        from novacron_shell.main import main

        main()
    except SystemExit as error:
        code = error.code or 0
    finally:
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


__all__ = ["CommandServer", "serve"]
