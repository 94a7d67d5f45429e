"""Processes that run flows and can be killed, for tests. They are forked from a process that has imported everything, to start quickly.

Example:
    >>> processes = Processes()
    >>> pid = processes.start("recover")
    >>> processes.wait(pid)
    >>> processes.close()
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Processes:
    """Starts processes with the current environment, and kills them."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "novacron.testing.processes"]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._started: list[int] = []
        self._answer("ready")

    def start(self, what: str, *arguments: Any) -> int:
        """Run the function of that name in `DOES` in a new process; return its PID."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([what, *arguments]) + "\n")
        self._parent.stdin.flush()
        self._started.append(int(self._answer()))
        return self._started[-1]

    def end(self, pid: int, number: int = signal.SIGKILL, seconds: float = 60) -> None:
        """Send a signal to a process and wait for its end."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        self.wait(pid, seconds)

    def wait(self, pid: int, seconds: float = 60) -> None:
        """Wait for a process's end. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while _lives(pid):
            if time.monotonic() > until:
                raise TimeoutError(f"process {pid} has not ended within {seconds} s")
            time.sleep(0.002)

    def lives(self, pid: int) -> bool:
        """Return whether a process is still running."""
        return _lives(pid)

    def close(self) -> None:
        """Kill the remaining processes."""
        for pid in self._started:
            if _lives(pid):
                self.end(pid)
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait()

    def _answer(self, expected: str | None = None) -> str:
        assert self._parent.stdout is not None
        answer = self._parent.stdout.readline().strip()
        assert answer, "the process that forks has ended"
        assert expected in (None, answer), f"answered {answer!r}"
        return answer


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _run(uris: dict[str, str], vm: str, flow: dict[str, Any]) -> None:
    """Run a flow for a VM of the first host."""
    import novacron
    from novacron.workflow import Workflow

    hosts = {name: novacron.connect(uri, name=name) for name, uri in uris.items()}
    Workflow.from_dict(flow).run(next(iter(hosts.values())).vms[vm], hosts=hosts)


def _run_as(uris: dict[str, str], vm: str, flow: dict[str, Any], actor: str) -> None:
    """Run a flow for an actor."""
    from novacron.site import Site
    from novacron.testing.served import provider
    from novacron.workflow import Workflow

    with Site(actor=actor) as site:
        site.drivers.register(provider())
        hosts = {name: site.connect(uri, name=name) for name, uri in uris.items()}
        Workflow.from_dict(flow).run(next(iter(hosts.values())).vms[vm], hosts=hosts)


def _recover() -> None:
    """Resume all interrupted runs."""
    import novacron

    for begun in novacron.fleet().runs.recover():
        begun.exception()


def _work(concurrency: int) -> None:
    """Run a worker."""
    from novacron.workflow.run.worker import work

    work(concurrency=concurrency)


def _claim(nodes: list[str], seed: int) -> None:
    """Claim, confirm, undo and free capacity at random, without end."""
    import random

    from novacron.records.capacity import Amounts
    from novacron.site import default_site
    from novacron.store.allocations import AllocationStore, NoRoom
    from novacron.store.takers import Taker

    site = default_site()
    store, process = AllocationStore(lambda: site.database), site.engine.join().id
    chance = random.Random(seed)  # noqa: S311 - no secrets
    held: list[tuple[str, str]] = []
    for number in range(10**9):
        node = chance.choice(nodes)
        amounts = Amounts(vcpus=chance.randint(1, 4), memory_bytes=chance.randint(1, 8) * 2**30)
        taker = Taker(vm=f"{seed}-{number}", name=f"vm-{seed}-{number}", amounts=amounts, tags=frozenset({"web"}))
        try:
            store.claim(node, taker, process)
        except NoRoom:
            if held:
                store.free(*held.pop(chance.randrange(len(held))))
            continue
        if chance.random() < 0.5:
            store.confirm(node, taker)
            held.append((node, taker.vm))
        else:
            store.restore(node, taker.vm)


def _apply_lab(uri: str, name: str, content: dict[str, Any], prune: bool) -> None:
    """Apply a lab to a host."""
    import novacron
    from novacron.labs import Lab

    Lab.parse(content).plan(novacron.connect(uri, name=name), prune=prune).apply()


DOES: dict[str, Callable[..., None]] = {
    "run": _run,
    "run_as": _run_as,
    "recover": _recover,
    "work": _work,
    "claim": _claim,
    "apply_lab": _apply_lab,
}


def _main() -> None:
    import novacron.store.allocations
    import novacron.store.tables
    import novacron.workflow.run.worker  # noqa: F401 - loaded before the forks
    from novacron.drivers.sim.plugin import areas
    from novacron.site import default_site
    from novacron.specs import VMSpec
    from novacron.testing.served import provider

    default_site().drivers.register(provider())
    areas()
    VMSpec(name="x", memory="64MiB")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        pid = os.fork()
        if not pid:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = 1
            try:
                DOES[what](*arguments)
                status = 0
            except BaseException:  # noqa: BLE001 - it would end the process that forks
                traceback.print_exc()
            finally:
                os._exit(status)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()

__all__ = ["Processes"]
