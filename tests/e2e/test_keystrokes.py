"""The commands of docs/keystrokes.csv, typed on real hosts. Each must have its effect, which the host is asked for."""

import contextlib
import csv
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner

import novacron as api
from novacron.specs.volumes import VolumeSpec
from novacron_shell.cli import cli

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ROWS = {row["task"]: row["novacron"] for row in csv.DictReader((Path(__file__).parents[2] / "docs" / "keystrokes.csv").open())}
LAB = "name: shop\nhost: kvm1\nvms:\n  shop1: {vcpus: 1}\n"
BLANK = {
    "memory": "64MiB",
    "disks": [{"size": "64MiB"}, {"size": "8MiB"}, {"device": "cdrom", "bus": "sata"}],
    "display": {"type": "vnc"},
    "nics": [{"network": "default"}],
    "vcpus_max": 4,
    "kernel": None,
    "ticks": 0,
}
"""A VM without an operating system. It runs, and costs no boot."""
COPIES = ("web2", "ci-1", "shop1")
"""Other VMs that the commands make."""


class Fleet:
    """Two real hosts, kvm1 and kvm2, in a state directory of their own. kvm1 has the VM web1."""

    def __init__(self, lab_hosts, boot):
        self.hosts, self._boot = lab_hosts, boot
        self.web1 = None

    def clear(self, *names):
        """Delete VMs, on whichever host they are."""
        for host in self.hosts:
            for vm in [vm for vm in host.vms.list() if vm.name in names]:
                vm.delete(force=True)

    def renew(self, **fields):
        """Create and start web1 again."""
        self.clear("web1", *COPIES)
        self.web1 = self._boot(self.hosts[0], "web1", **fields)

    def reset(self, status):
        """Give web1 the status in which a command finds it, without snapshots and copies. VMs without a system start at once."""
        host = self.hosts[0]
        if host.vms.get("web1") is None:
            self.renew(**BLANK)
        self.clear(*COPIES)
        vm = self.web1 = host.vms["web1"]
        for snapshot in vm.snapshots.list():
            snapshot.delete()
        if vm.status == "saved" or (vm.status == "stopped" and status != "stopped"):
            vm.start()
        if vm.status == status:
            return
        if status == "stopped":
            vm.stop()
        elif status == "suspended":
            vm.suspend()
        else:
            vm.resume()


@pytest.fixture
def fleet(lab_hosts, boot, tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    Path("lab.yaml").write_text(LAB)
    for name, host in zip(("kvm1", "kvm2"), lab_hosts, strict=True):
        api.fleet().add(name, host.uri)
    host = lab_hosts[0]
    host.invoke("volume_create", pool="default", spec=VolumeSpec(name="a.iso", capacity="1MiB", format="raw"))
    host.networks.create(
        name="lan", type="isolated", cidr="10.79.2.1/24", dhcp_start="10.79.2.10", dhcp_end="10.79.2.20", stp=False
    )
    made = Fleet(lab_hosts, boot)
    yield made
    made.clear("web1", *COPIES)
    host.networks.delete("lan")
    host.invoke("volume_delete", pool="default", volume="a.iso")
    api.fleet().hosts.close()


def typed(task, **others):
    """Type the command of a task, with other words for some. Returns what it printed."""
    program, *words = shlex.split(ROWS[task])
    assert program == "nv"
    words = [others.get(word, word) for word in words]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, (task, done.output, done.exception)
    return done.output


def status(fleet, name="web1"):
    return fleet.hosts[0].vms[name].status


def disks(fleet):
    return {disk.target: disk.size_bytes for disk in fleet.hosts[0].vms["web1"].refresh().record.disks if disk.device == "disk"}


GUEST_TASKS = {
    "Wait until a VM has an address": lambda fleet, said: "web1" in said,
    "Its IP addresses": lambda fleet, said: said.count(".") >= 3,
    "Run a program in a guest by its agent": lambda fleet, said: "novacron-guest" in said,
    "DHCP leases of a network": lambda fleet, said: fleet.web1.record.nics[0].mac in said,
    "Restart a guest": lambda fleet, said: (
        fleet.web1.console.wait_until(lambda: fleet.web1.console.text.count("GUEST UP") == 2, 90, "boot") is None
    ),
    "Shut a guest down and wait until it is off": lambda fleet, said: status(fleet) == "stopped",
}
"""Tasks that need a guest with a system, in this order, and what they must have done."""

TASKS = {
    "List all VMs with their status": ("running", lambda fleet, said: "web1" in said),
    "All fields of a VM": ("running", lambda fleet, said: fleet.web1.id in said),
    "Start a VM": ("stopped", lambda fleet, said: status(fleet) == "running"),
    "Power a VM off": ("running", lambda fleet, said: status(fleet) == "stopped"),
    "Power off all VMs whose name begins with ci-": ("running", lambda fleet, said: status(fleet, "ci-1") == "stopped"),
    "Suspend a VM": ("running", lambda fleet, said: status(fleet) == "suspended"),
    "Continue it": ("suspended", lambda fleet, said: status(fleet) == "running"),
    "Take a snapshot": ("running", lambda fleet, said: "s1" in fleet.web1.snapshots),
    "Go back to a snapshot": ("running", lambda fleet, said: fleet.web1.snapshots["s1"].record.current),
    "List snapshots": ("running", lambda fleet, said: "s1" in said),
    "Delete a snapshot": ("running", lambda fleet, said: "s1" not in fleet.web1.snapshots),
    "Clone a VM": ("stopped", lambda fleet, said: status(fleet, "web2") == "stopped"),
    "Rename a VM": ("stopped", lambda fleet, said: status(fleet, "web2") == "stopped"),
    "Set 4 vCPUs": ("running", lambda fleet, said: fleet.web1.refresh().record.vcpus == 4),
    "Attach a new disk of 10 GiB": ("running", lambda fleet, said: 10 * 2**30 in disks(fleet).values()),
    "Grow a disk": ("running", lambda fleet, said: disks(fleet)["vda"] == 20 * 2**30),
    "Detach a disk": ("stopped", lambda fleet, said: "vdb" not in disks(fleet)),
    "Insert a CD into a drive": ("running", lambda fleet, said: "a.iso" in str(fleet.web1.refresh().record.disks)),
    "Attach a NIC": (
        "running",
        lambda fleet, said: [nic.network for nic in fleet.web1.refresh().record.nics] == ["default", "lan"],
    ),
    "Save a picture of the display": ("running", lambda fleet, said: Path("a.png").stat().st_size > 100),
    "Save the memory to disk and power off": ("running", lambda fleet, said: status(fleet) == "saved"),
    "Metrics of a VM": ("running", lambda fleet, said: "cpu" in said),
    "The definition of a VM as a file": ("running", lambda fleet, said: "web1:" in said),
    "List storage pools": ("running", lambda fleet, said: said.count("default") >= 2),
    "List the volumes of a pool": ("running", lambda fleet, said: "a.iso" in said),
    "List images": ("running", lambda fleet, said: "NAME" in said),
    "List networks": ("running", lambda fleet, said: "lan" in said),
    "Version and capacity of a host": ("running", lambda fleet, said: "QEMU" in said),
    "Create what a lab file describes": ("running", lambda fleet, said: "shop1" in fleet.hosts[0].vms),
    "Move a running VM to another host": ("renew", lambda fleet, said: fleet.hosts[1].vms["web1"].status == "running"),
    "Delete a VM with its disks": ("stopped", lambda fleet, said: "web1" not in fleet.hosts[0].vms),
}
"""Tasks for the host alone: the status of web1 before the command (or that it is made anew), and what must have happened."""

ENDLESS = ("Follow events", "Open the serial console", "Use of CPU and memory of all hosts and VMs")
"""Tasks that run until a key ends them."""
ELSEWHERE = (
    "Create and start a VM from an image and say how to log in",
    "Log in by SSH",
    "Copy a file to a guest",
    "Forward a port of a guest",
    "Fetch an image from the catalogue",
)
"""Tasks that need a real cloud image: tests/e2e/test_cloud_image.py."""


def test_every_task_of_the_table_is_typed():
    assert sorted([*GUEST_TASKS, *TASKS, *ENDLESS, *ELSEWHERE]) == sorted(ROWS)


def test_the_tasks_of_a_day_are_done_by_their_commands(fleet, sample):
    """In the sample every tenth task. A task is prepared as its column says, and the host is asked whether it is done."""
    for task in list(TASKS)[:: sample(10, 1)]:
        before, done = TASKS[task]
        if before == "renew":
            fleet.renew(**BLANK)
        else:
            fleet.reset(before)
        if "snapshot" in ROWS[task] and "create" not in ROWS[task]:
            fleet.web1.snapshots.create("s1")
        if "ci-" in ROWS[task]:
            fleet.hosts[0].vms.create(name="ci-1", memory="64MiB", start=True)
        said = typed(task)
        assert done(fleet, said), (task, said)


def test_the_tasks_within_a_guest_are_done_by_their_commands(fleet, sample):
    if not sample(0, 1):
        pytest.skip("runs in the soak: the guest boots twice; test_daily_commands.py asks one for its address")
    fleet.renew(nics=[{"network": "lan"}])  # the lab's network "default" is a bridge with a DHCP server that is not libvirt's
    for task in GUEST_TASKS:
        said = typed(task, default="lan")
        assert GUEST_TASKS[task](fleet, said), (task, said)


def test_the_tasks_without_an_end_are_ended_by_a_key(fleet, sample):
    if not sample(0, 1):
        pytest.skip("runs in the soak: a program at a terminal for each task")
    fleet.renew(display={"type": "vnc"})
    program = str(Path(sys.executable).with_name("nv"))
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"}

    events = subprocess.Popen(
        [program, *shlex.split(ROWS["Follow events"])[1:]], stdout=subprocess.PIPE, text=True, env=environment
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in events.stdout], daemon=True).start()
    try:
        found = ""
        while "web1" not in found:
            assert events.poll() is None
            fleet.web1.suspend()
            fleet.web1.resume()
            with contextlib.suppress(queue.Empty):
                found = lines.get(timeout=2)
    finally:
        events.send_signal(signal.SIGINT)
    assert events.wait(30) in (0, 130)

    console = pexpect.spawn(
        program, shlex.split(ROWS["Open the serial console"])[1:], encoding="utf-8", env=environment, timeout=60
    )
    console.expect("NOVACRON TICK")
    console.send("\x1d")
    console.expect(pexpect.EOF)
    console.close()
    assert console.exitstatus == 0

    top = pexpect.spawn(program, ["top"], encoding="utf-8", env=environment, timeout=60)
    top.expect("web1")
    top.send("q")
    top.expect(pexpect.EOF)
    top.close()
    assert top.exitstatus == 0
