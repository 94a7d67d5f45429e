"""libvirtd dies at the end of a block job, between QEMU's switch to another file and libvirtd's note of it. No data is lost."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import libvirt
import pytest

from novacron import errors
from novacron.specs import StoragePoolSpec

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


@pytest.fixture
def a(lab_hosts, mended):
    return lab_hosts[0]


@pytest.fixture
def second_pool(lab, a):
    folder = lab.shared.parent / "second"
    a.invoke("pool_create", spec=StoragePoolSpec(name="second", path=str(folder)))
    yield folder
    a.invoke("pool_delete", pool="second")
    shutil.rmtree(folder)


@pytest.fixture
def committing(lab, a, boot):
    """A VM whose disk is an overlay of an image that nobody else uses."""
    base = lab.shared / "below.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", base, "64M"], check=True)
    a.pools.refresh("default")
    yield boot(a, "committing", disks=[{"source": "image:below"}])
    if "committing" in a.vms:
        if a.vms["committing"].record.status == "unknown":
            lab.hosts[0].kill_guest("committing")
        a.vms["committing"].delete(force=True)
    base.unlink()
    a.pools.refresh("default")


class QMP:
    """QEMU's monitor, which libvirtd does not use while it is dead."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.open(folder, os.O_RDONLY)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(f"/proc/self/fd/{self._folder}/monitor.sock")
        self._lines = self._socket.makefile("r")
        self.call("qmp_capabilities")

    def call(self, command: str, **arguments: str):
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while "return" not in (answer := json.loads(self._lines.readline())):
            assert "error" not in answer, answer
        return answer["return"]

    def wait_for(self, event: str, **values: str) -> None:
        while True:
            told = json.loads(self._lines.readline())
            if told.get("event") == event and values.items() <= told["data"].items():
                return

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
        os.close(self._folder)


class Host:
    """A lab host whose libvirtd dies when it is asked to switch a disk, after QEMU has done it."""

    def __init__(self, host) -> None:
        self.host = host

    def die_at_the_switch(self, monkeypatch, *, dismissed: bool) -> None:
        """Args: dismissed: QEMU has forgotten its job, too."""
        real = libvirt.virDomain.blockJobAbort

        def switch(domain, disk, flags=0):
            if flags & libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT:
                monkeypatch.undo()
                folder = f"domain-{domain.ID()}-{domain.name()}"
                self.host.kill_daemon()
                with closing(QMP(Path(self.host.folder) / "var-lib-libvirt" / "qemu" / folder)) as qemu:
                    (job,) = qemu.call("query-jobs")
                    qemu.call("job-complete", id=job["id"])
                    qemu.wait_for("JOB_STATUS_CHANGE", id=job["id"], status="concluded")
                    if dismissed:
                        qemu.call("job-dismiss", id=job["id"])
                if not dismissed:
                    self.rewrite(domain.name(), "")
                threading.Timer(0.3, self.host.restart_daemon).start()
            return real(domain, disk, flags)

        monkeypatch.setattr(libvirt.virDomain, "blockJobAbort", switch)

    def rewrite(self, vm, job):
        """Change what libvirtd's record of a running VM says of its block job."""
        record = self.host.guest_records / f"{vm}.xml"
        text, changes = re.subn(r"(<mirror [^>]*)job='[^']*'", rf"\1job='{job}'", record.read_text())
        assert changes == 1
        record.write_text(text)


def sources(a, name):
    return [disk.source for disk in a.vms[name].record.disks]


def commit(vm):
    vm.disks["vda"].commit()


def move(vm):
    vm.migrate_storage("second")


@pytest.mark.parametrize(("switch", "end"), [(commit, "found again"), (commit, "ended"), (move, "found again")])
def test_a_vm_that_libvirtd_lost_is_neither_started_nor_deleted_while_qemu_runs_it(
    lab, lab_hosts, a, second_pool, committing, monkeypatch, switch, end
):
    new = {commit: lab.shared / "below.qcow2", move: second_pool / "committing-vda.qcow2"}[switch]
    host, overlay = Host(lab.hosts[0]), Path(sources(a, "committing")[0])
    host.die_at_the_switch(monkeypatch, dismissed=False)
    with pytest.raises(errors.HostConnectionError, match="libvirtd has lost the VM 'committing'") as lost:
        switch(committing)
    assert lost.value.outcome == "unknown"
    assert "docs/reliability.md" in lost.value.hint
    found = a.vms["committing"].record
    (listed,) = [each.record for each in a.vms.list(name="committing")]
    for each in (found, listed):
        assert (each.status, each.status_reason) == ("unknown", "lost by libvirtd")
    attempts = (
        committing.start,
        committing.stop,
        lambda: committing.delete(force=True),
        lambda: committing.snapshots.create("s"),
        lambda: committing.clone("c"),
        lambda: committing.rename("other"),
        lambda: committing.disks.attach(size="16MiB"),
    )
    for attempt in attempts:
        with pytest.raises(errors.InvalidStateError, match="QEMU still runs it"):
            attempt()
    with pytest.raises(errors.MigrationCheckError, match="it is unknown"):
        committing.migrate(lab_hosts[1])
    with pytest.raises(errors.NovaCronError):
        a.pools.delete_volume(new.name, pool="default" if switch is commit else "second")
    assert overlay.exists()
    assert new.exists()
    if end == "found again":  # as docs/reliability.md says
        host.host.kill_daemon()
        host.rewrite("committing", "active-commit" if switch is commit else "copy")
        host.host.restart_daemon()
        assert a.vms["committing"].status == "running"
        committing.console.wait_for_more_ticks()
        committing.stop()
    else:
        host.host.kill_guest("committing")
    committing.start()
    assert sources(a, "committing") == [str(new)]
    assert [each.status for each in a.vms.list(name="committing")] == ["running"]
    with closing(libvirt.open(lab.hosts[0].uri)) as raw:
        assert [each for each in raw.listAllSecrets() if "switches a disk" in each.XMLDesc(0)] == [], "a mark is left"
    committing.console.wait_for_more_ticks()


def test_a_disk_that_qemu_switched_unseen_is_known_by_asking_qemu(lab, lab_hosts, a, committing, monkeypatch):
    Host(lab.hosts[0]).die_at_the_switch(monkeypatch, dismissed=True)
    committing.disks["vda"].commit()
    committing.console.wait_for_more_ticks()
    attempts = (
        committing.save,
        lambda: committing.snapshots.create("s", memory=False),
        lambda: committing.disks["vda"].pull(),
    )
    for attempt in attempts:
        with pytest.raises(errors.InvalidStateError, match="libvirtd still waits for a block job of 'vda'") as refused:
            attempt()
        assert "power the VM off and start it again" in refused.value.hint
    with pytest.raises(errors.MigrationCheckError):  # libvirtd would open the deleted overlay there
        committing.migrate(lab_hosts[1])
    committing.stop()
    committing.start()
    assert sources(a, "committing") == [str(lab.shared / "below.qcow2")]
    committing.console.wait_for_more_ticks()
