"""Real hosts fail in all ways, while their controller is killed or halted and their BMC lies. The guest never runs twice.

Each seed is one history. It plays one cell of the matrix {network} x {direction} x {end of the controller} x {false answer of the BMC},
with real packets lost. The guest writes epoch and counter past all caches to a disk without locks between hosts, and would see a second
copy. QEMU processes are counted every 50 ms. `NOVACRON_SOAK=1` plays 500; `NOVACRON_SEEDS=10-20` chooses.
"""

import itertools
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from failover_lab import Copies, with_bmcs
from storage_network import StorageNetwork

from novacron import NovaCronError, Site
from novacron_lab.running import LabError

pytestmark = pytest.mark.lab

MATRIX = list(
    itertools.product(
        ("management", "storage", "bmc"),
        ("one way", "both ways"),
        ("killed", "halted", "database"),
        ("ignores", "timeout", "slow"),
    )
)
CONTROLLER = Path(__file__).with_name("failover_controller.py")
PATIENCE = 240.0
"""Seconds that a history may take."""


def cell(seed):
    """Return the cell of the matrix for a seed. Seeds that follow each other differ in all dimensions."""
    return MATRIX[seed * 23 % len(MATRIX)]


SAMPLE = next(seed for seed in range(len(MATRIX)) if cell(seed) == ("storage", "both ways", "database", "timeout"))
"""The history that is played everywhere. It is one without waiting: for a lease to end, a person to come, or a BMC that does nothing."""


class Controllers:
    """Controllers as processes. Each is in a process namespace of its own, so that it counts as one on another machine."""

    def __init__(self, state, password):
        self._state, self._all = state, []
        self._environment = {**os.environ, "NOVACRON_SECRET_LAB_BMC": password}
        self._log = (state.parent / "controllers.log").open("ab")

    def start(self):
        words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, str(CONTROLLER), str(self._state)]
        self._all.append(subprocess.Popen(words, env=self._environment, stdout=self._log, stderr=self._log))
        return self._all[-1]

    @staticmethod
    def signal(process, number):
        """Send a signal to the controller itself."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)

    def close(self):
        for process in self._all:
            process.kill()  # its namespace ends with it
            process.wait()
        self._log.close()


class Epochs:
    """Follows what the guest writes to its console: a file that only grows. What was read once is not read again."""

    LINE = re.compile(rb"NOVACRON EPOCH (\d+) (\d+)\r?")

    def __init__(self, log):
        self._log, self._rest, self._offset, self._last = log, b"", 0, (0, 0)

    def last(self):
        """The last epoch and counter in a line that is whole."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            new = file.read()
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            if found := self.LINE.fullmatch(line):
                self._last = tuple(map(int, found.groups()))
        return self._last


class Rack:
    """The hosts of the lab in a group, with BMCs, a storage network, and one VM."""

    def __init__(self, lab, lab_hosts, boot, state, bmc):
        self.lab, self.bmc, self.state = lab, bmc, state
        self.storage = StorageNetwork(lab, f"epochs-{os.getpid()}.raw", 16 * 2**20)
        self.site = Site(state)
        fleet = self.site.fleet
        with_bmcs(fleet, lab, bmc, failover_after=1)
        line = f"{lab.guest.command_line} novacron.epochs"
        kernel = {"path": str(lab.guest.kernel), "initrd": str(lab.guest.initrd), "command_line": line}
        disks = [{"path": str(self.storage.file), "format": "raw", "cache": "none"}]
        self.vm = boot(lab_hosts[0], "epochs", ticks=1, disks=disks, kernel=kernel)
        self.console, self._epochs = self.vm.console, Epochs(self.vm.console.log)
        self.controllers = Controllers(state, bmc.password)

    @property
    def written(self):
        """The last epoch and counter that the guest wrote."""
        return self._epochs.last()

    def place(self):
        """The host that runs the VM; None if none does."""
        for host in self.lab.hosts:
            try:
                pid = (host.guest_records / "epochs.pid").read_text().strip()
            except OSError:
                continue  # libvirtd has removed it, or the host has no power
            if pid and Path("/proc", pid).exists():
                return host
        return None

    def wait(self, condition, what, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what}: {self.site.fleet.failover.list()}, {self.site.fleet.nodes.list()}"
            time.sleep(0.25)
        return found

    def mend(self):
        """End all faults, and give all hosts power. BMCs come last: with one, a host that is still silent would be fenced."""
        for host in self.lab.hosts:
            self.storage.mend(host)
            host.mend_management()
            self.switch_on(host)
        self.bmc.mend()

    def switch_on(self, host):
        host.power_on()
        self.storage.attach(host)

    def person(self, victim):
        """A person looks after a node that may still run: pulls the plug, and confirms it."""
        failover = self.site.fleet.failover
        if any(each.stage == "waiting" and not each.confirmed_by for each in failover.list(unended=True)):
            victim.power_off()
            try:
                failover.confirm_fenced(victim.name)
            except NovaCronError as error:
                print(f"not confirmed: {error}")

    def well(self):
        """Whether all nodes are up, no failover is under way, and the definition of the VM is stored where it runs.

        A host that was fenced while the faults ended is switched on again.
        """
        fleet, place = self.site.fleet, self.place()
        off = [host for host in self.lab.hosts if self.without_libvirtd(host)]
        for host in off:
            self.switch_on(host)
        if off or place is None or any(node.status != "up" for node in fleet.nodes) or fleet.failover.list(unended=True):
            return False
        stored = fleet.failover._store.protected([self.vm.id]).get(self.vm.id)
        return stored is not None and stored.node == fleet.nodes[place.name].id and not stored.refusals

    @staticmethod
    def without_libvirtd(host):
        """Whether a host is off. A late power-off may have ended libvirtd just before the client of the storage began."""
        try:
            return not host.daemon_pid
        except LabError:
            return True

    def close(self):
        self.controllers.close()
        self.mend()
        self.site.close()


def play(rack, seed):
    """Play one history. Returns how many seconds the guest did not write; None if it ran on where it was."""
    chance = random.Random(seed)
    network, direction, end, answer = cell(seed)
    way = "both ways" if direction == "both ways" else chance.choice(["requests", "answers"])
    first = rack.controllers.start()
    rack.wait(rack.well, "not well before the history")
    victim, (epoch, counter) = rack.place(), rack.written
    rack.wait(lambda: rack.written > (epoch, counter), "the guest does not write")
    epoch = rack.written[0]
    rack.bmc.lie(victim.name, answer)
    struck = time.monotonic()
    if network == "management":
        victim.cut_management(way)
    elif network == "storage":
        rack.storage.cut(victim, way)
        time.sleep(chance.uniform(0, 1))
        victim.cut_management("both ways")
    else:
        victim.cut_management("both ways") if chance.random() < 0.7 else victim.power_off()
        time.sleep(chance.uniform(0, 4))
        rack.bmc.cut(way)
    time.sleep(chance.uniform(0, 6))
    lock = None
    if end == "killed":
        rack.controllers.signal(first, signal.SIGKILL)
    elif end == "halted":
        rack.controllers.signal(first, signal.SIGSTOP)
    else:
        lock = sqlite3.connect(rack.state / "state.db", timeout=20, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        time.sleep(chance.uniform(2, 8))
        lock.execute("ROLLBACK")
        lock.close()
    second = rack.controllers.start()
    person_comes = struck + chance.uniform(12, 30)

    def settled():
        if time.monotonic() > person_comes:
            rack.person(victim)
        # without its BMC, the silence of a node has no second view, and nothing is done
        over = network == "bmc" and time.monotonic() > struck + 75 and not rack.site.fleet.failover.list(unended=True)
        return rack.written[0] > epoch or over

    rack.wait(settled, "neither restarted nor over")
    restarted = rack.written[0] > epoch
    silent = time.monotonic() - struck
    if end == "halted":  # it goes on with what it was about to do, beside the one that has taken over
        rack.controllers.signal(first, signal.SIGCONT)
        time.sleep(3)
    rack.mend()
    rack.wait(rack.well, "not well after the history")
    before = rack.written
    rack.wait(lambda: rack.written > before, "the guest does not write after the history")
    for process in (first, second):
        process.kill()
        process.wait()
    return silent if restarted else None


def seeds(sample):
    if chosen := os.environ.get("NOVACRON_SEEDS"):
        return range(*map(int, chosen.split("-")))
    return sample([SAMPLE], range(500))


@pytest.mark.timeout(0)
def test_a_real_guest_never_runs_twice(lab, lab_hosts, lab_bmc, boot, tmp_path, sample, record_property):
    rack, restarts = Rack(lab, lab_hosts, boot, tmp_path / "state", lab_bmc), []
    try:
        with Copies(rack.vm.id) as copies:
            for seed in seeds(sample):
                took = play(rack, seed)
                restarts += [took] if took is not None else []
                assert copies.most == 1, (seed, cell(seed))
                assert "NOVACRON TWICE" not in rack.console.text, (seed, cell(seed))
                print(f"seed {seed} {cell(seed)}: {'ran on' if took is None else f'{took:.1f} s'}, {rack.written}", flush=True)
        epochs = [int(epoch) for epoch in re.findall(r"^NOVACRON EPOCH (\d+) ", rack.console.text, re.MULTILINE)]
        assert epochs == sorted(epochs)
    finally:
        rack.close()
        try:
            rack.vm.refresh()
        except NovaCronError:
            pass
    record_property("restarts", len(restarts))
    assert restarts, "no history restarted the guest, so nothing was tested"
