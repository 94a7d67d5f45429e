"""The processes that run workflows, and which of them are alive."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

import msgspec

from novacron.store.base import Store

LEASE = 20.0
"""Seconds after its last sign of life that a process on another machine counts as dead."""


class ProcessRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A process. `silence` is the number of seconds since its last heartbeat."""

    id: str
    machine: str
    pid: int
    began: str
    name: str
    silence: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process is alive: on this machine the operating system decides (also for stopped processes), elsewhere its lease."""
        if self.machine == machine():
            return _began(self.pid) == self.began
        return self.silence < LEASE


class ProcessStore(Store):
    """Reads and writes the processes."""

    def register(self, role: str = "") -> ProcessRecord:
        """Store this process under a new id. Its displayed name starts with its role."""
        from novacron.store.database import clock
        from novacron.store.tables import processes

        pid = os.getpid()
        record = ProcessRecord(
            id=uuid.uuid4().hex,
            machine=machine(),
            pid=pid,
            began=_began(pid) or "",
            name=f"{role} {socket.gethostname()}:{pid}".lstrip(),
        )
        with self.transaction() as connection:
            connection.execute(processes.insert().values(**_columns(record), beat_at=clock(connection)))
        return record

    def rename(self, process: ProcessRecord, name: str) -> ProcessRecord:
        """Change the displayed name of a process."""
        from novacron.store.tables import processes

        with self.transaction() as connection:
            connection.execute(processes.update().where(processes.c.id == process.id).values(name=name))
        return msgspec.structs.replace(process, name=name)

    def beat(self, process: ProcessRecord) -> None:
        """Record a heartbeat of a process. One that was silent for so long that others removed it is stored again."""
        from novacron.store.database import clock
        from novacron.store.tables import processes

        with self.transaction() as connection:
            now = {"beat_at": clock(connection)}
            if connection.execute(processes.update().where(processes.c.id == process.id).values(**now)).rowcount == 0:
                connection.execute(processes.insert().values(**_columns(process), **now))

    def list(self) -> list[ProcessRecord]:
        """Return all processes, including dead ones until they are removed."""
        from novacron.store.database import clock
        from novacron.store.tables import processes

        with self.transaction() as connection:
            query = processes.select().add_columns((clock(connection) - processes.c.beat_at).label("silence"))
            return [
                ProcessRecord(id=r.id, machine=r.machine, pid=r.pid, began=r.began, name=r.name, silence=r.silence)
                for r in connection.execute(query)
            ]

    def remove(self, process: str) -> None:
        """Delete a process."""
        from novacron.store.tables import processes

        with self.transaction() as connection:
            connection.execute(processes.delete().where(processes.c.id == process))


def _columns(process: ProcessRecord) -> dict[str, str | int]:
    return {"id": process.id, "machine": process.machine, "pid": process.pid, "began": process.began, "name": process.name}


def machine() -> str:
    """Return the scope of the PIDs seen here: the boot id of this machine, and the process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode():x}"


def _began(pid: int) -> str | None:
    """Return the start time of a process in the system's units; None if it does not exist or is a zombie."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else str(pid)
    except OSError:
        return None
    return None if state in "ZX" else rest[18]


__all__ = ["LEASE", "ProcessRecord", "ProcessStore", "machine"]
