"""Marked secrets: values that nothing else contains, so that a test can look for them in everything that NovaCron writes or shows."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from novacron.errors import NovaCronError, SpecProblem

KINDS: tuple[str, ...] = (
    "uri",
    "query",
    "environment",
    "file",
    "keyring",
    "plugin",
    "luks",
    "guest-password",
    "cloud-init",
    "display",
    "token",
    "bearer",
    "option",
    "flow",
    "bmc",
    "smtp",
    "sink",
    "remote-write",
    "postgresql",
    "database-key",
    "viewer",
)
"""The kinds of secrets."""
TYPED = ("uri", "query")
"""Kinds that a person typed on a command line. The process list shows them until that command has ended."""


def mark(kind: str, of: str = "") -> str:
    """Return the marked secret of a kind: one value in each process.

    Args:
        kind: one of KINDS.
        of: distinguishes the marks of several searches.

    Example:
        >>> mark("token") == mark("token"), mark("token") == mark("luks")
        (True, False)
    """
    return f"Mark3d-{kind}-Q{os.getpid()}{of}x"


class SecretSearch:
    """Looks for the marked secrets of this process in all that it is shown.

    Args:
        of: looks for other marks than those of other searches.

    Attributes:
        found: the kind and place of each secret that was found.
        looked_at: how many texts and files were searched.

    Example:
        >>> search = SecretSearch()
        >>> search.look("the log", f"password {mark('luks')}")
        >>> search.found
        ['luks in the log']
    """

    def __init__(self, of: str = "") -> None:
        self.found: list[str] = []
        self.looked_at = 0
        self._marks = {kind: mark(kind, of).encode() for kind in KINDS}
        self._quick = [f"-Q{os.getpid()}{of}x".encode()]

    def add(self, kind: str, value: str) -> None:
        """Look for a secret that something else made, too, such as the password of a device.

        Args:
            kind: its name in `found`.
            value: the secret.
        """
        self._marks[f"{kind} {len(self._marks)}"] = value.encode()
        self._quick.append(value.encode())

    def look(self, where: str, content: str | bytes, *, but: Iterable[str] = ()) -> None:
        """Look for every mark in a text.

        Args:
            where: what the text is, for `found`.
            content: the text.
            but: kinds that may be in it.
        """
        data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        self.looked_at += 1
        if any(part in data for part in self._quick):
            self.found += [f"{kind} in {where}" for kind, value in self._marks.items() if kind not in but and value in data]

    def look_at_files(self, folder: Path, pattern: str = "*", *, but: Iterable[str] = ()) -> None:
        """Look into every file below a folder, and into a dump of every SQLite database.

        Args:
            folder: the folder.
            pattern: which files.
            but: kinds that may be in them.
        """
        for path in folder.rglob(pattern):
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    self.look(str(path), path.read_bytes(), but=but)
            if path.suffix == ".db":
                with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
                    self.look(f"a dump of {path}", "\n".join(connection.iterdump()), but=but)

    def look_at_database(self, url: str) -> None:
        """Look into all rows of all tables of a database, as they are stored.

        Args:
            url: the URL of a database, as SQLAlchemy has it.
        """
        import sqlalchemy as sa

        engine = sa.create_engine(url)
        try:
            with engine.connect() as connection:
                for name in sa.inspect(connection).get_table_names():
                    rows = connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))
                    self.look(f"the table {name}", "\n".join(map(repr, rows)))
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def watching(self) -> Iterator[SecretSearch]:
        """Look at every log line, every error that NovaCron makes, and the command line of every new process, until the block ends."""
        ended, root, capture = threading.Event(), logging.getLogger(), _LogCapture(self)
        thread = threading.Thread(target=self._watch_processes, args=(ended,), daemon=True)
        original, original_problem = NovaCronError.__init__, SpecProblem.__init__

        def observed(error: NovaCronError, *arguments: object, **context: object) -> None:
            original(error, *arguments, **context)  # type: ignore[arg-type]
            with contextlib.suppress(AttributeError):  # a subclass may set more attributes later, such as its problems
                self.look(f"an error: {type(error).__name__}", f"{error!r}\n{error}\n{error.as_dict()}")

        def observed_problem(problem: SpecProblem, path: str, given: object, allowed: str) -> None:
            original_problem(problem, path, given, allowed)
            self.look(f"a problem: {problem.path}", str(problem))

        NovaCronError.__init__ = observed  # type: ignore[method-assign,assignment]
        SpecProblem.__init__ = observed_problem  # type: ignore[method-assign,assignment]
        root.addHandler(capture)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            root.removeHandler(capture)
            NovaCronError.__init__ = original  # type: ignore[method-assign]
            SpecProblem.__init__ = original_problem  # type: ignore[method-assign]

    def _watch_processes(self, ended: threading.Event) -> None:
        times: dict[str, int] = {}
        while not ended.wait(0.2):
            for entry in os.listdir("/proc"):
                if entry.isdigit() and times.get(entry, 0) < 2:  # a program may start another in its place just after it began
                    times[entry] = times.get(entry, 0) + 1
                    with contextlib.suppress(OSError):
                        where = f"the command line of process {entry}"
                        self.look(where, Path(f"/proc/{entry}/cmdline").read_bytes(), but=TYPED)


class _LogCapture(logging.Handler):
    """Looks at every log line, formatted with its traceback."""

    def __init__(self, search: SecretSearch) -> None:
        super().__init__(logging.DEBUG)
        self._search = search

    def emit(self, record: logging.LogRecord) -> None:
        self._search.look(f"the log {record.name}", self.format(record))


__all__ = ["KINDS", "TYPED", "SecretSearch", "mark"]
