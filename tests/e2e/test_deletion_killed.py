"""A process is killed while it deletes a VM: nothing of the VM is left when the next VM of the host was deleted. Real hosts."""

import contextlib
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import libvirt
import pytest

import novacron

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
PROGRAM = """
import os, signal, sys
import libvirt
import novacron
from novacron_kvm.lifecycle import deletion
from novacron_kvm.storage import deletion_notes

uri, vm, point = sys.argv[1:]
count = 0

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name):
    setattr(owner, name, die)

def after(owner, name, number=1):
    real = getattr(owner, name)
    def function(*arguments, **more):
        global count
        found = real(*arguments, **more)
        count += 1
        if count == number:
            die()
        return found
    setattr(owner, name, function)

{
    "noted": lambda: after(deletion_notes, "write"),
    "undefined": lambda: after(deletion, "undefine"),
    "certain": lambda: after(deletion_notes, "write", 2),
    "one file": lambda: after(libvirt.virStorageVol, "delete"),
    "all files": lambda: before(deletion_notes, "remove"),
}[point]()
with novacron.connect(uri, name="killed") as host:
    host.vms[vm].delete()
"""


@pytest.fixture
def host(lab, own_state):
    with novacron.connect(lab.hosts[0].uri) as found:
        yield found


@pytest.fixture
def killed(lab, host, own_state):
    """Return a function that lets a process die while it deletes a VM with two disks; it returns the VM and the paths of the disks."""

    def kill(point):
        name = f"dk{uuid.uuid4().hex[:6]}"
        vm = host.vms.create(name=name, memory="32MiB", disks=[{"size": "8MiB"}, {"size": "8MiB"}])
        ended = subprocess.run([sys.executable, "-c", PROGRAM, lab.hosts[0].uri, name, point], capture_output=True, text=True)
        assert ended.returncode == -9, ended.stderr
        return vm, [Path(disk.source) for disk in vm.record.disks]

    return kill


def notes(lab):
    with contextlib.closing(libvirt.open(lab.hosts[0].uri)) as connection:
        return [secret for secret in connection.listAllSecrets() if (secret.usageID() or "").startswith("novacron deletes")]


def delete_another(host):
    host.vms.create(name=f"dk{uuid.uuid4().hex[:6]}", memory="32MiB", disks=[{"size": "1MiB"}]).delete()


@pytest.mark.parametrize("point", ["certain", "one file", "all files"])
def test_the_files_of_a_vm_whose_deletion_was_killed_are_deleted_with_the_next_vm(lab, host, killed, point):
    vm, disks = killed(point)
    assert vm.name not in host.vms
    assert len([disk for disk in disks if disk.exists()]) == {"certain": 2, "one file": 1, "all files": 0}[point]
    assert len(notes(lab)) == 1
    if point == "certain":
        assert "the next `novacron vm delete`" in reported(host, vm, disks).hint
    delete_another(host)
    assert not [disk for disk in disks if disk.exists()]
    assert not notes(lab)


def test_a_vm_that_was_not_deleted_yet_keeps_its_files(lab, host, killed):
    vm, disks = killed("noted")
    delete_another(host)
    assert all(disk.exists() for disk in disks)
    assert vm.delete(keep_disks=True).kept == tuple(map(str, disks))
    delete_another(host)
    assert all(disk.exists() for disk in disks)
    assert not notes(lab)
    for disk in disks:
        host.pools.delete_volume(disk.name)


def test_files_that_another_tool_may_have_kept_are_reported_and_stay(lab, host, killed):
    """Between the removal of the definition and the note of it nobody can know who removed it."""
    vm, disks = killed("undefined")
    delete_another(host)
    assert all(disk.exists() for disk in disks)
    assert "`novacron volume delete`" in reported(host, vm, disks).hint
    for disk in disks:
        host.pools.delete_volume(disk.name)


def test_a_file_that_somebody_needs_or_has_changed_since_stays(lab, host, killed):
    _, disks = killed("certain")
    user = host.vms.create(name=f"dk{uuid.uuid4().hex[:6]}", memory="32MiB", disks=[{"path": str(disks[0])}])
    with disks[1].open("ab") as file:
        file.write(b"new")
    delete_another(host)
    assert all(disk.exists() for disk in disks)
    assert not notes(lab)
    user.delete()
    for disk in disks:
        host.pools.delete_volume(disk.name)


def test_a_file_that_a_backup_has_restored_since_stays(host, killed):
    """It has the time of its content that the deleted one had."""
    _, disks = killed("certain")
    kept = disks[0].with_suffix(".backup")
    shutil.copy2(disks[0], kept)
    disks[0].unlink()
    shutil.copy2(kept, disks[0])
    kept.unlink()
    delete_another(host)
    assert [disk.exists() for disk in disks] == [True, False]
    host.pools.delete_volume(disks[0].name)


@pytest.mark.parametrize("way", ["create", "attach", "backing"])
def test_a_file_that_a_vm_had_meanwhile_is_that_vms(host, killed, way):
    """Nobody wrote to it, and the VM is gone again, with its disks kept."""
    vm, disks = killed("certain")
    name = f"dk{uuid.uuid4().hex[:6]}"
    user = host.vms.create(name=name, memory="32MiB", disks=[{"path": str(disks[0])}] if way == "create" else [])
    if way == "attach":
        user.disks.attach(path=str(disks[0]))
    if way == "backing":
        user.disks.attach(source=disks[0].name)
    reported(host, vm, disks[1:])
    user.delete()
    assert [disk.exists() for disk in disks] == [True, False]
    host.pools.delete_volume(disks[0].name)


def reported(host, vm, disks):
    (finding,) = [each for each in host.diagnose() if each.check == "deletion" and each.subject == vm.name]
    assert sorted(finding.message.rpartition(": ")[2].split(", ")) == sorted(map(str, disks))
    return finding
