"""The demonstration: a real guest moves between two real hosts while it counts, and is snapshotted on the second."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import novacron
from novacron.units import format_duration, format_size
from novacron_lab.guest import TICK, UP, Guest
from novacron_lab.lab import Lab
from novacron_lab.running import LabError

NAME = "demo"
BANDWIDTH = "24MiB/s"
"""Slow enough to be watched: at full speed the guest is over in half a second."""
SLACK_SECONDS = 0.5
"""How far the guest's clock may be off beyond the downtime: what a busy machine adds to a line of text on a console."""


class Watched:
    """A guest's serial console: its lines are shown as they come, each counted second with the time at which it was seen."""

    def __init__(self, log: Path, say: Any) -> None:
        self._log, self._say = log, say
        self._read = 0
        self.ticks: list[tuple[int, float, float]] = []
        self.up = False

    def poll(self) -> None:
        """Show what came since the last look; a tick is (number, the guest's uptime, our clock)."""
        if not self._log.exists():
            return
        with self._log.open("rb") as log:
            log.seek(self._read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if line.startswith(UP):
                self.up = True
            if line.startswith(TICK):
                self.ticks.append((int(line.split()[2]), float(line.rpartition("=")[2]), time.monotonic()))
            if line.startswith("NOVACRON"):
                self._say(f"    guest: {line.strip()}")

    def wait_for_ticks(self, count: int, seconds: float = 60.0) -> None:
        """Wait until `count` more seconds were counted. Raises LabError."""
        wanted, deadline = len(self.ticks) + count, time.monotonic() + seconds
        while len(self.ticks) < wanted:
            if time.monotonic() > deadline:
                raise LabError(
                    f"the guest counted no {count} seconds within {seconds:g} s", hint=f"its console is in {self._log}"
                )
            self.poll()
            time.sleep(0.01)

    def clock_offset(self, ticks: list[tuple[int, float, float]]) -> float:
        """Return by how much our clock is ahead of the guest's, from the line that reached us quickest."""
        return min(seen - uptime for _, uptime, seen in ticks)


class Screen:
    """Where the demonstration says what it does: plain lines, and a progress bar on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False)

    def step(self, text: str) -> None:
        """Begin a step."""
        self.console.print(f"[bold cyan]==>[/] {text}", soft_wrap=True)

    def say(self, text: str) -> None:
        """Say something."""
        self.console.print(text, markup=False, soft_wrap=True)

    def follow(self, run: Any, watched: Watched) -> Any:
        """Show a workflow's progress and the guest's console until it has ended; return its result."""
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        said, said_at = "", 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bars:
            task = bars.add_task("flow", total=1.0)
            while not run.done():
                watched.poll()
                at = run.progress
                sent = at.details.get("transferred_bytes")
                text = f"{at.message}{f' {format_size(sent)} sent' if sent else ''}"
                bars.update(task, completed=at.fraction or 0.0, description=text)
                if not self.console.is_terminal and at.message and text != said and time.monotonic() - said_at > 1:
                    self.say(f"    {(at.fraction or 0.0):4.0%} {text}")
                    said, said_at = text, time.monotonic()
                time.sleep(0.02)
            bars.update(task, completed=1.0, description="done")
        return run.result()


def run(*, shell: bool) -> None:
    """Show it all; raise NovaCronError when anything is not as it should be."""
    screen = Screen()
    began = time.monotonic()
    if os.geteuid() == 0:
        _two_hosts(screen)
    else:
        _without_root(screen)
    screen.step(f"all of it took {format_duration(time.monotonic() - began)}")
    if shell and sys.stdin.isatty() and sys.stdout.isatty():
        screen.step(
            "the shell: try  vms  or  hosts  or  vms['demo'].migrate(lab_a) ; Ctrl-D leaves, `novacron lab down` ends the lab"
        )
        sys.stdout.flush()
        os.execvp("novacron", ["novacron", "shell"])  # noqa: S606 - an argument list, no shell


def _two_hosts(screen: Screen) -> None:
    from novacron.workflow import steps

    screen.step("bringing up two libvirt and QEMU hosts")
    lab = Lab.up(hosts=2)
    lab.register()
    for part in lab.hosts:
        screen.say(f"    {part.name}  {part.uri}")
    first, second = (novacron.fleet().hosts[h.name] for h in lab.hosts)
    for host in (first, second):
        _remove_old(host)
    screen.step(f"booting a guest on {first.name}")
    chosen = first.capabilities()
    screen.say(f"    {chosen.virt_type}: {chosen.virt_type_reason}")
    log = lab.shared / f"{NAME}-{int(time.time())}.log"
    vm = first.vms.create(_guest(lab.guest, log))
    watched = Watched(log, screen.say)
    watched.wait_for_ticks(4)
    before = watched.clock_offset(watched.ticks)
    screen.step(f"migrate to {second.name}, then snapshot it there, as one workflow")
    flow = steps.migrate(to=second.name, bandwidth=BANDWIDTH) >> steps.snapshot(
        "after-move", description="taken after the migration"
    )
    screen.say(str(flow.plan(vm)))
    work = flow.run(vm, wait=False)
    screen.follow(work, watched)
    screen.say(str(work))
    moved_at = time.monotonic()
    watched.wait_for_ticks(4)
    report = next(s.result for s in work.steps if isinstance(s.result, dict) and "downtime_seconds" in s.result)
    _verify(screen, watched, before, moved_at, report, work.steps[-1].seconds or 0.0)
    there = second.vms[vm.id]
    if vm.id in first.vms or there.status != "running":
        raise LabError(f"the guest is {there.status} on {second.name}, and on {first.name}: {vm.id in first.vms}")
    screen.step(f"the snapshots of {NAME} on {second.name}")
    names = [snapshot.name for snapshot in there.snapshots.list()]
    for snapshot in there.snapshots.list():
        screen.say(f"    {snapshot.name}  {snapshot.record.status}  {snapshot.record.created_at}")
    if names != ["after-move"]:
        raise LabError(f"the snapshots on {second.name} are {names}")


def _verify(screen: Screen, watched: Watched, before: float, moved_at: float, report: dict[str, Any], saving: float) -> None:
    """Compare the guest's own clock with ours: what it lost must be the downtime, and no second may be missing."""
    numbers = [number for number, _, _ in watched.ticks]
    if numbers != list(range(1, len(numbers) + 1)):
        raise LabError(f"the guest did not count without a gap: {numbers}")
    after = watched.clock_offset([tick for tick in watched.ticks if tick[2] > moved_at])
    lost, downtime = after - before, float(report.get("downtime_seconds") or 0.0)
    screen.step(
        f"the guest counted {len(numbers)} seconds without a gap; its clock stood still for {format_duration(max(0.0, lost))}: "
        f"the migration's downtime was {format_duration(downtime)}, saving the snapshot took {format_duration(saving)}; "
        f"{format_size(report.get('transferred_bytes'))} were sent"
    )
    if lost > downtime + saving + SLACK_SECONDS:
        raise LabError(
            f"the guest lost {lost:.2f} s, more than the downtime of {downtime:.2f} s and the snapshot's {saving:.2f} s"
        )


def _without_root(screen: Screen) -> None:
    """One host without a daemon and without root, and simulated ones for what needs two."""
    from novacron.workflow import steps

    screen.step("no root: one real host through libvirt's embedded QEMU driver, and simulated ones")
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"novacron-demo-{os.getuid()}"  # noqa: S108 - named after the user
    _make_private(folder)
    guest = Guest(folder)
    guest.install()
    with novacron.connect(f"qemu:///embed?root={folder / 'embed'}", name="embedded") as host:
        _remove_old(host)
        log = folder / f"{NAME}.log"
        log.unlink(missing_ok=True)
        vm = host.vms.create(_guest(guest, log).model_copy(update={"disks": ()}))
        Watched(log, screen.say).wait_for_ticks(3)
        screen.say(f"    {vm.refresh()}")
        vm.delete(force=True)
    first, second = novacron.connect("sim://first"), novacron.connect("sim://second")
    simulated = first.vms.create(name=NAME, start=True)
    flow = steps.migrate(to=second) >> steps.snapshot("after-move")
    screen.say(str(flow.run(simulated, wait=True)))


def _make_private(folder: Path) -> None:
    """Make a folder of this user's, or use it again. Raises LabError when another user could have prepared it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise LabError(f"{folder} does not belong to this user alone", hint="remove it, or set XDG_RUNTIME_DIR")


def _guest(guest: Guest, log: Path) -> Any:
    return novacron.VMSpec(
        name=NAME,
        memory="128MiB",
        disks=[{"size": "64MiB"}],
        serial={"log": str(log)},
        tags={"demo"},
        start=True,
        kernel={"path": str(guest.kernel), "initrd": str(guest.initrd), "command_line": guest.command_line},
    )


def _remove_old(host: Any) -> None:
    if NAME in host.vms:
        host.vms[NAME].delete(force=True)


__all__ = ["run"]
