"""Encrypted disks: what is written is unreadable at rest, and whoever has the secret gets it back, whatever happened in between."""

import time

import libvirt
import pytest

from novacron import errors
from novacron.testing.marked import mark
from novacron_kvm.domains.metadata import change_facts, facts_of
from novacron_kvm.lifecycle import deletion
from novacron_kvm.storage.luks import provide_secrets

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

PASSPHRASE = mark("luks")
WRITTEN = "a text that nobody else may read"


@pytest.fixture
def a(lab_hosts):
    return lab_hosts[0]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("NOVACRON_SECRET_DISK_KEY", PASSPHRASE)


def secrets(host):
    """Return what libvirt itself says of the secrets that it has."""
    deadline = time.monotonic() + 30
    while True:
        try:
            raw = libvirt.open(host.uri)
            break
        except libvirt.libvirtError:
            assert time.monotonic() < deadline, "its daemon does not come up again"
            time.sleep(0.2)
    try:
        return {s.UUIDString(): s.XMLDesc(0) for s in raw.listAllSecrets(0)}
    finally:
        raw.close()


def shell(vm, command):
    done = vm.guest.exec("/bin/sh", "-c", command)
    assert done.exit_status == 0, done
    return done.stdout.decode()


@pytest.fixture
def encrypted(boot):
    """Return a function that makes a VM without an operating system and with an encrypted second disk."""

    def start(host, name):
        return boot(host, name, disks=[{"size": "64MiB"}, {"size": "16MiB", "encryption": "disk-key"}], kernel=None, ticks=0)

    return start


@pytest.fixture(scope="module")
def guests(lab_hosts, boot_shared, wait_for_agent):
    """Two guests on the first host. Each test gives them back without the encrypted disks that it plugged in."""
    vms = [boot_shared(lab_hosts[0], f"{place}-owner") for place in ("first", "second")]
    for vm in vms:
        wait_for_agent(vm)
    return vms


def plug_in(vm, **disk):
    """Attach an encrypted disk as vdb; wait until the guest says that it is there."""
    before = vm.console.text.count("vdb=")
    disk = vm.disks.attach(encryption="disk-key", format="raw", target="vdb", **disk)
    vm.console.wait_until(lambda: vm.console.text.count("vdb=") > before, 30, "the disk")
    return disk.record.source


def write(vm, device):
    shell(vm, f"printf '{WRITTEN}' | dd of=/dev/{device} bs=512 count=1 conv=notrunc,sync oflag=direct && sync")


def read(vm, device):
    return shell(vm, f"dd if=/dev/{device} bs=512 count=1 iflag=direct 2>/dev/null")


def test_what_a_guest_writes_is_unreadable_at_rest_and_there_again_after_a_start(lab, a, boot, wait_for_agent):
    """A raw disk and a qcow2 one of the same guest."""
    sealed = [{"size": "16MiB", "encryption": "disk-key", "format": format} for format in ("raw", "qcow2")]
    vm = boot(a, "sealed", disks=[{"size": "64MiB"}, *sealed])
    wait_for_agent(vm)
    assert [d.encrypted for d in vm.record.disks] == [False, True, True]
    for device in ("vdb", "vdc"):
        assert vm.disks[device].record.size_bytes == 16 * 2**20
        write(vm, device)
    definitions = secrets(lab.hosts[0]).values()
    assert definitions
    assert all("ephemeral='yes'" in d and "private='yes'" in d for d in definitions)
    vm.stop()
    for disk in vm.record.disks[1:]:
        content = (lab.shared / disk.source.rpartition("/")[2]).read_bytes()
        assert b"LUKS" in content
        assert WRITTEN.encode() not in content
    assert PASSPHRASE not in vm.export().text
    lab.hosts[0].kill_daemon()
    lab.hosts[0].restart_daemon()
    assert not secrets(lab.hosts[0]), "the daemon has forgotten them"
    vm.start()
    wait_for_agent(vm)
    assert all(WRITTEN in read(vm, device) for device in ("vdb", "vdc"))
    vm.delete(force=True)
    assert not secrets(lab.hosts[0])


def test_an_encrypted_disk_grows_under_its_guest(guests):
    vm = guests[0]
    plug_in(vm, size="16MiB")
    vm.disks["vdb"].resize("24MiB")
    vm.console.wait_until(lambda: f"vdb={24 * 2048}" in vm.console.text, 30, "24 MiB")
    vm.disks["vdb"].detach(delete=True)


def test_it_is_plugged_in_and_out_and_into_another_vm_and_the_secret_moves_along(lab, lab_hosts, guests):
    a, b = lab_hosts
    first, second = guests
    path = plug_in(first, size="8MiB")
    write(first, "vdb")
    first.disks["vdb"].detach()
    assert not secrets(lab.hosts[0])
    plug_in(second, path=path)
    assert WRITTEN in read(second, "vdb")
    second.migrate(b)
    assert not secrets(lab.hosts[0])
    assert len(secrets(lab.hosts[1])) == 1
    assert WRITTEN in read(second, "vdb")
    second.disks["vdb"].detach(delete=True)
    assert not secrets(lab.hosts[1])
    second.migrate(a)


def test_what_would_need_the_secret_is_refused_without_it(lab, lab_hosts, encrypted, monkeypatch):
    a, b = lab_hosts
    vm = encrypted(a, "no-key")
    monkeypatch.delenv("NOVACRON_SECRET_DISK_KEY")
    assert any("no secret 'disk-key'" in failure for failure in vm.migration_check(b).failures)
    vm.stop()
    with pytest.raises(errors.SecretNotFoundError) as caught:
        vm.start()
    assert "NOVACRON_SECRET_DISK_KEY" in caught.value.hint
    assert vm.refresh().status == "stopped"
    files = {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.SecretNotFoundError):
        a.vms.create(name="never", disks=[{"size": "8MiB"}, {"size": "8MiB", "encryption": "disk-key"}])
    with pytest.raises(errors.SecretNotFoundError):
        a.pools.create_volume("default", name="never.img", capacity="8MiB", format="raw", encryption="disk-key")
    assert {p.name for p in lab.shared.iterdir()} == files


def test_a_wrong_passphrase_opens_nothing_and_is_said(a, encrypted, monkeypatch):
    vm = encrypted(a, "wrong-key")
    vm.stop()
    monkeypatch.setenv("NOVACRON_SECRET_DISK_KEY", "wrong horse")
    with pytest.raises(errors.StorageError) as caught:
        vm.start()
    assert "passphrase" in caught.value.hint
    assert "wrong horse" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    monkeypatch.setenv("NOVACRON_SECRET_DISK_KEY", PASSPHRASE)
    assert vm.start().status == "running"


def test_nothing_writes_an_encrypted_disk_down_in_the_clear(lab, lab_hosts, encrypted):
    a, b = lab_hosts
    vm = encrypted(a, "kept-sealed")
    files = {p.name for p in lab.shared.iterdir()}
    with pytest.raises(errors.UnsupportedOperationError, match="vdb is encrypted"):
        vm.snapshots.create("outside", kind="external")
    assert any("vdb" in failure for failure in vm.migration_check(b, storage="copy").failures)
    with pytest.raises(errors.InvalidSpecError, match="secrets of encrypted disks"):
        vm.update(autostart=True)
    vm.stop()
    for refused in (
        lambda: vm.clone("copied"),
        lambda: vm.clone("linked", linked=True),
        lambda: a.templates.create(vm, "t", seal=False),
    ):
        with pytest.raises(errors.UnsupportedOperationError, match="vdb is encrypted"):
            refused()
    name = vm.record.disks[1].source.rpartition("/")[2]
    with pytest.raises(errors.UnsupportedOperationError, match="it is encrypted"):
        a.pools.clone_volume(name, "c.img")
    assert {p.name for p in lab.shared.iterdir()} == files


def test_a_volume_is_made_encrypted_and_its_secret_is_not_left_behind(lab, a):
    volume = a.pools.create_volume("default", name="alone.img", capacity="8MiB", format="raw", encryption="disk-key")
    assert volume.encrypted
    assert b"LUKS" in (lab.shared / "alone.img").read_bytes()[:8]
    assert not secrets(lab.hosts[0])
    with pytest.raises(errors.UnsupportedOperationError, match="it is encrypted"):
        a.pools.wipe_volume("alone.img")
    a.pools.delete_volume("alone.img")


def test_a_deletion_that_is_killed_leaves_no_secret(lab, a, monkeypatch):
    """Once the definition is gone, nothing says which secrets belonged to the VM."""
    vm = a.vms.create(name="killed", memory="32MiB", disks=[{"size": "8MiB"}])
    connection, path = a.dispatcher.driver.native, vm.record.disks[0].source
    domain, before = connection.domain(vm.id), len(secrets(lab.hosts[0]))
    own = facts_of(domain)
    change_facts(connection, domain, own, own.with_secret(path, "disk-key"))
    provide_secrets(connection.secrets, connection.read, {path: "disk-key"})
    assert len(secrets(lab.hosts[0])) == before + 1

    def killed(domain, **_):
        undefine(domain)
        raise SystemExit

    undefine = deletion.undefine
    monkeypatch.setattr(deletion, "undefine", killed)
    with pytest.raises(SystemExit):
        deletion.delete_vm(connection, vm.id, keep_disks=False, force=False)
    monkeypatch.undo()
    assert not [text for text in secrets(lab.hosts[0]).values() if path in text and "deletes the files" not in text]
    deletion.finish_interrupted(connection)
