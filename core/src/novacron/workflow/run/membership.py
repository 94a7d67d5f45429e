"""This process as a member of a state database: it says that it is alive, and looks who else is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from novacron.errors import NovaCronError
from novacron.store.processes import ProcessRecord, ProcessStore

HEARTBEAT = 5.0
"""Seconds between two signs of life."""
POLL = 0.3
"""Seconds between two looks at what others ask for."""


class Membership:
    """The row of this process, kept alive by a thread.

    Args:
        store: where processes are stored.
        where: returns the URL of the database; when it changes, this process joins the other database.
        attend: called a few times a second in that thread; NovaCronErrors are ignored, for the runs report them.
    """

    def __init__(self, store: ProcessStore, attend: Callable[[], object], where: Callable[[], str]) -> None:
        self._store, self._attend, self._where = store, attend, where
        self._joined = ""
        self._guard = threading.RLock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: ProcessRecord | None = None

    def join(self, role: str = "") -> ProcessRecord:
        """Write this process down, if it is not; a role, such as "worker", is added to its name. Raises StorageError."""
        with self._guard:
            if self._process is not None and self._joined != self._where():
                self.leave(keep_row=True)
            if self._process is None:
                self._joined = self._where()
                self._process = self._store.register(role)
                self._over.clear()
                self._thread = threading.Thread(target=self._live, args=(self._process,), name="novacron-heartbeat", daemon=True)
                self._thread.start()
            elif role and not self._process.name.startswith(role):
                self._process = self._store.rename(self._process, f"{role} {self._process.name}")
            return self._process

    @property
    def process(self) -> ProcessRecord | None:
        """The row of this process, None if it has not joined."""
        return self._process

    def leave(self, *, keep_row: bool = False) -> None:
        """Stop the thread and delete the row, unless `keep_row`: others then find the process dead once it has ended."""
        with self._guard:
            process, self._process, thread, self._thread = self._process, None, self._thread, None
        self._over.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10)
        if process is not None and not keep_row:
            with suppress(NovaCronError):
                self._store.remove(process.id)

    def alive(self) -> dict[str, ProcessRecord]:
        """Return the processes of the database that are alive, by id."""
        return {process.id: process for process in self._store.list() if process.alive}

    def forget_dead(self, running: set[str]) -> None:
        """Delete the rows of dead processes, except for those that still have runs."""
        for process in self._store.list():
            if not process.alive and process.id not in running:
                self._store.remove(process.id)

    def _live(self, process: ProcessRecord) -> None:
        last = time.monotonic()
        while not self._over.wait(POLL):
            try:
                if time.monotonic() - last > HEARTBEAT:
                    self._store.beat(process)
                    last = time.monotonic()
                self._attend()
            except NovaCronError:
                continue
            except Exception:  # without this thread, others take the process for dead and its runs over
                logging.getLogger(__name__).exception("the heartbeat of %s", process.name)


__all__ = ["HEARTBEAT", "Membership"]
