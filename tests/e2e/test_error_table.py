"""The error table by provoking each cause on real libvirt and QEMU: the right class, the right outcome, the original kept."""

import os
import signal
import threading
import time
import uuid
from pathlib import Path

import libvirt
import pytest

import novacron
from novacron import errors as nova
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import TABLE, row_of, translated
from novacron_lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

DOMAIN = (
    "<domain type='{type}'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory}</memory>{more}<vcpu{pin}>1</vcpu>"
    "<os><type arch='x86_64' machine='{machine}'>hvm</type>{os}</os><devices>{devices}</devices></domain>"
)
DISK = "<disk type='file' device='disk'><driver name='qemu' type='{}'/><source file='{}'/><target dev='vda' bus='virtio'/></disk>"
VOLUME = (
    "<volume><name>{}</name><capacity unit='MiB'>{}</capacity><allocation unit='MiB'>{}</allocation>"
    "<target><format type='{}'/></target></volume>"
)
POOL = "<pool type='dir'><name>{}</name><target><path>{}</path></target></pool>"
NETWORK = "<network><name>{}</name><bridge name='{}'/>{}</network>"
IP = "<ip address='{}' netmask='255.255.255.0'/>"
FILTER = "<filter name='row'><uuid>{}</uuid></filter>"
SECRET = "<secret ephemeral='yes' private='{}'><uuid>{}</uuid></secret>"
NOWHERE = "12345678-1234-1234-1234-123456789abc"


class Real:
    """A real host, `h`, another, and what the rows need of them."""

    def __init__(self, lab, small):
        self.lab, self.small = lab, small
        self.h, self.other = (libvirt.open(host.uri) for host in lab.hosts)
        self.pool = self.h.storagePoolLookupByName("default")

    def define(self, name="row", *, on=None, identity=None, **fields):
        """Define a VM that needs nothing."""
        plain = {
            "type": "qemu",
            "uuid": identity or str(uuid.uuid4()),
            "memory": 32,
            "machine": "q35",
            "os": "",
            "devices": "",
            "pin": "",
            "more": "",
        }
        return (on or self.h).defineXML(DOMAIN.format(name=name, **(plain | fields)))

    def started(self, name="row", **fields):
        domain = self.define(name, **fields)
        domain.create()
        return domain

    def volume(self, name="row.img", *, capacity=1, allocation=0, format_="qcow2", pool=None):
        return (pool or self.pool).createXML(VOLUME.format(name, capacity, allocation, format_))

    def with_disk(self, path=None, format_="qcow2", name="row"):
        return self.define(name, devices=DISK.format(format_, path or self.volume().path()))

    def file(self, text):
        path = Path(self.lab.shared, "row.img")
        path.write_text(text)
        return path

    def secret(self, *, private="no", value=None):
        secret = self.h.secretDefineXML(SECRET.format(private, uuid.uuid4()))
        if value:
            secret.setValue(value)
        return secret

    def migrated(self, domain, flags=0, uri=None):
        domain.migrateToURI3(uri or self.lab.hosts[1].uri, {}, libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_LIVE | flags)

    def snapshot(self, domain, name="s", flags=0):
        return domain.snapshotCreateXML(f"<domainsnapshot><name>{name}</name></domainsnapshot>", flags)

    def clean(self):
        self.pool.refresh()
        for connection in (self.h, self.other):
            for domain in connection.listAllDomains():
                if domain.name().startswith("row"):
                    persistent = domain.isPersistent()
                    if domain.isActive():
                        domain.destroy()
                    if persistent:
                        domain.undefineFlags(
                            libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                        )
        for found in self.h.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            for volume in found.listAllVolumes() if found.name() == "row" else ():
                volume.delete()
        for found in (*self.h.listAllNetworks(), *self.h.listAllStoragePools()):
            if found.name().startswith("row"):
                if found.isActive():
                    found.destroy()
                found.undefine()
        for found in self.h.listAllNWFilters():
            if found.name() == "row":
                found.undefine()
        for found in self.h.listAllSecrets():
            found.undefine()
        for path in Path(self.lab.shared).glob("row*"):
            path.unlink()


@pytest.fixture(scope="module")
def small(lab):
    """A folder of the first host that has room for 8 MiB."""
    folder = "/var/lib/libvirt/small-for-errors"
    lab.hosts[0].exec("mkdir", folder)
    lab.hosts[0].exec("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    yield folder
    lab.hosts[0].exec("umount", folder)


@pytest.fixture
def real(lab, small):
    found = Real(lab, small)
    found.clean()
    yield found
    found.clean()
    found.h.close()
    found.other.close()


def full_pool(r):
    pool = r.h.storagePoolDefineXML(POOL.format("row", r.small))
    pool.create()
    return pool


def upload_too_much(r):
    volume = r.volume(pool=full_pool(r), capacity=64, format_="raw")
    stream = r.h.newStream()
    volume.upload(stream, 0, 0)
    try:
        for _ in range(64):
            stream.send(b"x" * 2**19)
        stream.finish()
    except libvirt.libvirtError:
        stream.abort()
        raise


def pool_name_taken(r):
    for number in "ab":
        definition = POOL.format("row", f"/row/{number}").replace("</name>", f"</name><uuid>{uuid.uuid4()}</uuid>")
        r.h.storagePoolDefineXML(definition)


def shared_image(r):
    path = r.volume().path()
    r.with_disk(path).create()
    r.with_disk(path, name="row2").create()


def backing_missing(r):
    below = r.volume("row-below.img")
    xml = VOLUME.format("row.img", 1, 0, "qcow2").replace(
        "</volume>", f"<backingStore><path>{below.path()}</path><format type='qcow2'/></backingStore></volume>"
    )
    above = r.pool.createXML(xml)
    below.delete()
    r.with_disk(above.path()).create()


def encrypted(r, secret):
    disk = DISK.format("qcow2", r.volume().path())
    disk = disk.replace(
        "'/><target", f"'><encryption format='luks'><secret type='passphrase' uuid='{secret}'/></encryption></source><target"
    )
    r.define(devices=disk).create()


def snapshot_of_a_missing_image(r):
    volume = r.volume()
    domain = r.with_disk(volume.path())
    volume.delete()
    r.snapshot(domain)


def transient_reverted(r):
    domain = r.with_disk()
    snapshot = r.snapshot(domain, flags=libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    domain.create()
    domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA)
    domain.revertToSnapshot(snapshot)


def lacks_the_disk(r):
    path = "/var/lib/libvirt/images/row.img"
    r.lab.hosts[0].exec("mkdir", "-p", "/var/lib/libvirt/images")
    r.lab.hosts[0].exec("qemu-img", "create", "-f", "qcow2", path, "1M")
    domain = r.with_disk(path)
    domain.create()
    r.migrated(domain, libvirt.VIR_MIGRATE_UNSAFE)


def lacks_the_network(r):
    r.h.networkDefineXML(NETWORK.format("row", "rowbr0", "")).create()
    nic = "<interface type='network'><source network='row'/><model type='virtio'/></interface>"
    r.migrated(r.started(devices=nic), libvirt.VIR_MIGRATE_UNSAFE)


def name_taken_there(r):
    r.define("row", on=r.other)
    r.migrated(r.started())


def read_only(r):
    connection = libvirt.openReadOnly(r.lab.hosts[0].uri)
    try:
        connection.lookupByName(r.define().name()).create()
    finally:
        connection.close()


def dead_connection(r):
    connection = libvirt.open(r.lab.hosts[0].uri)
    connection.close()
    connection.getHostname()


def no_free_slot(r):
    domain = r.started()
    for _ in range(40):
        domain.attachDeviceFlags("<interface type='user'><model type='virtio'/></interface>", libvirt.VIR_DOMAIN_AFFECT_LIVE)


def starts_with(r, nic):
    r.started(devices=nic)


ROWS = {
    "network device missing": (
        lambda r: starts_with(r, "<interface type='direct'><source dev='row0' mode='bridge'/></interface>"),
        nova.NetworkNotFoundError,
    ),
    "no free PCI slot": (no_free_slot, nova.ResourceAllocationError),
    "VLAN of a NIC without Open vSwitch": (
        lambda r: starts_with(r, "<interface type='user'><vlan><tag id='4'/></vlan></interface>"),
        nova.UnsupportedOperationError,
    ),
    "VM absent": (lambda r: r.h.lookupByName("row"), nova.VMNotFoundError),
    "network absent": (lambda r: r.h.networkLookupByName("row"), nova.NetworkNotFoundError),
    "pool absent": (lambda r: r.h.storagePoolLookupByName("row"), nova.StoragePoolNotFoundError),
    "volume absent": (lambda r: r.pool.storageVolLookupByName("row"), nova.VolumeNotFoundError),
    "secret absent": (lambda r: r.h.secretLookupByUUIDString(NOWHERE), nova.SecretNotFoundError),
    "filter absent": (lambda r: r.h.nwfilterLookupByName("row"), nova.TrafficFilterNotFoundError),
    "snapshot absent": (lambda r: r.define().snapshotLookupByName("x"), nova.SnapshotNotFoundError),
    "handle of a VM that was undefined": (lambda r: [d := r.define(), d.undefine(), d.state()], nova.VMNotFoundError),
    "malformed UUID": (lambda r: r.h.lookupByUUIDString("x"), nova.InvalidSpecError),
    "more vCPUs than the maximum": (
        lambda r: r.define().setVcpusFlags(99, libvirt.VIR_DOMAIN_AFFECT_CONFIG),
        nova.InvalidSpecError,
    ),
    "more memory than the maximum": (
        lambda r: r.define().setMemoryFlags(2**30, libvirt.VIR_DOMAIN_AFFECT_CONFIG),
        nova.InvalidSpecError,
    ),
    "shrink without saying so": (lambda r: r.volume(capacity=2).resize(2**20), nova.InvalidSpecError),
    "unknown disk target": (lambda r: r.started().blockResize("vdz", 1), nova.InvalidSpecError),
    "XML not well formed": (lambda r: r.h.defineXML("<domain"), nova.InvalidSpecError),
    "XML of another thing": (lambda r: r.h.defineXML("<network/>"), nova.InvalidSpecError),
    "XML without a name": (lambda r: r.h.defineXML("<domain type='qemu'><memory>1</memory></domain>"), nova.InvalidSpecError),
    "XML against the schema": (
        lambda r: r.h.defineXMLFlags(
            "<domain type='qemu'><name>row</name><nonsense/></domain>", libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        ),
        nova.InvalidSpecError,
    ),
    "unknown machine type": (lambda r: r.started(machine="pc-9"), (nova.InvalidSpecError, nova.UnsupportedOperationError)),
    "virt type that the host can't do": (lambda r: r.started(type="xen"), nova.UnsupportedOperationError),
    "CPU mode that the host can't do": (
        lambda r: r.started(more="<cpu mode='host-passthrough'/>"),
        nova.UnsupportedOperationError,
    ),
    "VM's name taken": (lambda r: [r.define(), r.define()], nova.AlreadyExistsError),
    "pool's name taken": (pool_name_taken, nova.AlreadyExistsError),
    "network's name taken": (
        lambda r: [r.h.networkDefineXML(NETWORK.format("row", f"rowbr{n}", f"<uuid>{uuid.uuid4()}</uuid>")) for n in "01"],
        nova.AlreadyExistsError,
    ),
    "filter's name taken": (
        lambda r: [r.h.nwfilterDefineXML(FILTER.format(uuid.uuid4())) for _ in "ab"],
        nova.AlreadyExistsError,
    ),
    "snapshot's name taken": (lambda r: [d := r.with_disk(), r.snapshot(d), r.snapshot(d)], nova.AlreadyExistsError),
    "volume's name taken": (lambda r: [r.volume(), r.volume()], nova.AlreadyExistsError),
    "bridge's name taken": (
        lambda r: [r.h.networkDefineXML(NETWORK.format(n, "rowbr0", "")) for n in ("row", "row2")],
        nova.AlreadyExistsError,
    ),
    "subnet taken": (
        lambda r: [r.h.networkDefineXML(NETWORK.format(f"row{n}", f"rowbr{n}", IP.format("10.99.0.1"))).create() for n in "01"],
        nova.AlreadyExistsError,
    ),
    "pool's path taken": (lambda r: r.h.storagePoolDefineXML(POOL.format("row", r.lab.shared)), nova.AlreadyExistsError),
    "pool not active": (
        lambda r: r.h.storagePoolDefineXML(POOL.format("row", "/nowhere/row")).refresh(),
        nova.InvalidStateError,
    ),
    "network not active": (
        lambda r: r.h.networkDefineXML(NETWORK.format("row", "rowbr0", "")).destroy(),
        nova.InvalidStateError,
    ),
    "started twice": (lambda r: r.started().create(), nova.InvalidStateError),
    "stopped when it is": (lambda r: r.define().destroy(), nova.InvalidStateError),
    "undefined with snapshots": (lambda r: [d := r.with_disk(), r.snapshot(d), d.undefine()], nova.InvalidStateError),
    "undefined with saved memory": (lambda r: [d := r.started(), d.managedSave(), d.undefine()], nova.InvalidStateError),
    "active pool deleted": (lambda r: r.pool.delete(), nova.InvalidStateError),
    "read-only connection writes": (read_only, nova.AccessDeniedError),
    "disk missing": (lambda r: r.with_disk("/nowhere/row.img").create(), nova.ImageNotFoundError),
    "disk below a file": (lambda r: r.with_disk("/etc/hostname/row.img").create(), nova.ImageNotFoundError),
    "kernel missing": (lambda r: r.started(os="<kernel>/nowhere/kernel</kernel>"), nova.ImageNotFoundError),
    "backing file missing": (backing_missing, nova.ImageNotFoundError),
    "bridge missing": (
        lambda r: r.started(devices="<interface type='bridge'><source bridge='nowhere0'/></interface>"),
        nova.NetworkNotFoundError,
    ),
    "no room for an allocated volume": (
        lambda r: r.volume(pool=full_pool(r), capacity=64, allocation=64, format_="raw"),
        nova.ResourceAllocationError,
    ),
    "no room to grow a volume": (
        lambda r: r.volume(pool=full_pool(r), format_="raw").resize(64 * 2**20, libvirt.VIR_STORAGE_VOL_RESIZE_ALLOCATE),
        nova.ResourceAllocationError,
    ),
    "no room for an upload": (upload_too_much, nova.ResourceAllocationError),
    "memory short": (lambda r: r.started(memory=900 * 2**20), nova.ResourceAllocationError),
    "huge pages absent": (
        lambda r: r.started(more="<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking>"),
        nova.ResourceAllocationError,
    ),
    "pinned to CPUs beyond the host's": (lambda r: r.started(pin=" cpuset='1000'"), nova.ResourceAllocationError),
    "disk in use by another VM": (shared_image, nova.DiskLockedError),
    "not a qcow2": (lambda r: r.with_disk(r.file("x" * 2**20)).create(), nova.StorageError),
    "secret without a value": (lambda r: r.secret().value(), nova.SecretNotFoundError),
    "secret that is private": (lambda r: r.secret(private="yes", value=b"x").value(), nova.AccessDeniedError),
    "disk's secret gone": (lambda r: encrypted(r, NOWHERE), nova.SecretNotFoundError),
    "disk's secret without a value": (lambda r: encrypted(r, r.secret().UUIDString()), nova.SecretNotFoundError),
    "image without the encryption it should have": (
        lambda r: encrypted(r, r.secret(value=b"x").UUIDString()),
        nova.StorageError,
    ),
    "guest agent not configured": (lambda r: r.started().fsFreeze(), nova.GuestAgentUnavailableError),
    "migration without shared storage": (lambda r: [d := r.with_disk(), d.create(), r.migrated(d)], nova.MigrationError),
    "migration to the same host": (lambda r: r.migrated(r.started(), uri=r.lab.hosts[0].uri), nova.MigrationError),
    "migration to where the network is not": (lacks_the_network, nova.NetworkNotFoundError),
    "migration to where the disk is not": (lacks_the_disk, nova.ImageNotFoundError),
    "migration to where the name is taken": (name_taken_there, nova.AlreadyExistsError),
    "snapshot of a missing image": (snapshot_of_a_missing_image, nova.ImageNotFoundError),
    "external snapshot with an internal parent deleted": (
        lambda r: [d := r.with_disk(), r.snapshot(d), r.snapshot(d, "e", libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY).delete()],
        nova.UnsupportedOperationError,
    ),
    "transient VM reverted to a stopped one": (transient_reverted, (nova.InvalidStateError, nova.UnsupportedOperationError)),
}


MADE = "plugins/kvm/tests/test_errors.py::test_each_of_libvirts_causes_is_one_of_ours"
"""The test of rows whose cause can't be had on this machine: an error with libvirt's words, as its sources or a measurement have them."""
PROVOKED = (
    # one entry for each row of the table, in its order: a row of ROWS, or the test that provokes it
    "plugins/kvm/tests/test_connection.py::test_an_ssh_that_fails_says_what_ssh_said",
    MADE,
    "test_a_call_on_a_dead_connection_was_not_sent",
    MADE,
    "test_a_keepalive_that_ran_out_leaves_the_outcome_unknown",
    MADE,
    "test_a_daemon_killed_in_a_call_leaves_the_outcome_unknown",
    "test_a_host_that_can_not_be_connected_to_is_the_right_error",
    "test_a_host_that_can_not_be_connected_to_is_the_right_error",
    MADE,
    MADE,
    MADE,
    MADE,
    "VM absent",
    "network absent",
    "pool absent",
    "volume absent",
    "snapshot absent",
    MADE,
    "filter absent",
    "secret absent",
    "secret that is private",
    MADE,
    "disk missing",
    "disk below a file",
    "bridge missing",
    "network device missing",
    MADE,
    "volume's name taken",
    MADE,
    MADE,
    "VM's name taken",
    "bridge's name taken",
    "no free PCI slot",
    MADE,
    "tests/e2e/test_creation.py::test_secure_boot_is_defined_with_enrolled_keys_and_started",
    "disk in use by another VM",
    "tests/e2e/test_networks.py::test_a_macvtap_network_puts_guests_beside_the_hosts_on_the_wire",
    "tests/e2e/test_leases.py::test_the_lease_keeps_the_second_copy_away_until_the_host_has_no_power",
    "no room for an upload",
    MADE,
    "memory short",
    "huge pages absent",
    MADE,
    MADE,
    "tests/e2e/test_nics.py::test_limits_of_a_nic_are_in_force_or_refused_with_the_reason",
    MADE,
    MADE,
    "tests/e2e/test_resources.py::test_a_host_without_control_groups_keeps_limits_and_refuses_them_live",
    MADE,
    "test_a_second_change_of_a_vm_that_hangs_is_refused_as_busy",
    MADE,
    MADE,
    "pool not active",
    "network not active",
    "started twice",
    MADE,
    MADE,
    MADE,
    "migration without shared storage",
    "tests/e2e/test_migration.py::test_a_cancelled_migration_leaves_the_vm_running_at_the_source",
    MADE,
    "migration to the same host",
    "read-only connection writes",
    "test_what_the_daemon_s_own_access_control_denies_is_said",
    "tests/e2e/test_guest_agent.py::test_an_agent_that_hangs_ends_a_call_in_time",
    MADE,
    "guest agent not configured",
    MADE,
    "XML of another thing",
    "XML not well formed",
    "XML against the schema",
    "XML without a name",
    "malformed UUID",
    MADE,
    "tests/e2e/test_networks.py::test_a_network_with_vlans_is_for_open_vswitch",
    "tests/e2e/test_nics.py::test_a_boot_order_that_another_device_has_is_taken",
    "virt type that the host can't do",
    "external snapshot with an internal parent deleted",
    MADE,
    MADE,
    MADE,
    "tests/e2e/test_pools.py::test_a_pool_that_can_not_be_had_is_forgotten_again",
    MADE,
    "tests/e2e/test_pools.py::test_a_snapshot_that_finds_no_space_is_not_there_and_its_vm_goes_on",
    "snapshot of a missing image",
    MADE,
    MADE,
    "not a qcow2",
    MADE,
)


def test_each_row_of_the_table_names_the_test_that_provokes_it():
    here = Path(__file__)
    for row, named in zip(TABLE, PROVOKED, strict=True):
        file, _, test = named.rpartition("::")
        source = here.parents[2] / file if file else here
        assert named in ROWS or f"def {test}(" in source.read_text(), f"{row}: no test {named!r}"


@pytest.mark.parametrize("row", ROWS)
def test_a_real_cause_is_the_right_error(real, row):
    provoke, family = ROWS[row]
    with pytest.raises(nova.NovaCronError) as caught, translated("asked", "row"):
        provoke(real)
    assert type(caught.value) in (family if isinstance(family, tuple) else (family,)), repr(caught.value)
    assert caught.value.outcome == "failed"
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    if row in PROVOKED:
        assert row_of(caught.value.__cause__) == TABLE[PROVOKED.index(row)], "the table names another row for this cause"
    assert "\n" not in str(caught.value)


def answered(ask, seconds=60):
    """Return what a daemon that was just started answers; its first connections may be reset."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except nova.HostConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_what_the_daemon_s_own_access_control_denies_is_said():
    """Each call asks polkit, which nobody answers for on this host: all of it is denied."""
    lab = Lab.up(hosts=1, name=f"denied-{os.getpid()}", temporary=True)
    try:
        host = lab.hosts[0]
        host.exec("sh", "-c", "echo 'access_drivers = [ \"polkit\" ]' >> /etc/libvirt/libvirtd.conf")
        host.kill_daemon()
        host.restart_daemon()
        with pytest.raises(nova.AccessDeniedError) as caught:
            answered(lambda: novacron.connect(host.uri).vms.list())
        assert caught.value.hint
        assert isinstance(caught.value.__cause__, libvirt.libvirtError)
        assert caught.value.__cause__.get_error_code() == libvirt.VIR_ERR_ACCESS_DENIED
    finally:
        lab.down()


def test_suspended_twice_is_no_error(real):
    domain = real.started()
    with translated():
        assert domain.suspend() == domain.suspend() == 0


def test_a_second_change_of_a_vm_that_hangs_is_refused_as_busy(lab, lab_hosts, real):
    domain = real.started()
    process = qemu(lab.hosts[0], domain.UUIDString())
    os.kill(process, signal.SIGSTOP)
    first = threading.Thread(target=ignored, args=(libvirt.open(lab.hosts[0].uri), domain.UUIDString()), daemon=True)
    try:
        first.start()
        while not domain.controlInfo()[0]:
            first.join(0.05)
        with pytest.raises(nova.BusyError) as caught, translated("vm_suspend", "row"):
            domain.suspend()
        assert caught.value.outcome == "not_sent"
        assert isinstance(caught.value.__cause__, libvirt.libvirtError)
        assert lab_hosts[0].vms["row"].status == "running"
    finally:
        os.kill(process, signal.SIGCONT)
        first.join(60)
    assert not first.is_alive()


def ignored(connection, identity):
    """Ask for what hangs."""
    try:
        connection.lookupByUUIDString(identity).suspend()
    except libvirt.libvirtError:
        pass
    finally:
        connection.close()


def qemu(host, identity):
    """Return the pid of a VM's QEMU."""
    return next(pid for pid in host.processes() if identity.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())


CONNECTING = {
    "refused": ("qemu+tcp://127.0.0.1:1/system", nova.HostConnectionError),
    "name unknown": ("qemu+tcp://nowhere.invalid/system", nova.HostConnectionError),
    "no socket": ("qemu+unix:///system?socket=/nowhere/libvirt-sock", nova.HostConnectionError),
    "no client certificate": ("qemu+tls://127.0.0.1/system?pkipath=/nowhere", nova.AuthenticationError),
    "no such driver": ("qemu+tls://{0.address}/nonsense?pkipath={0.client}", nova.HostConnectionError),
}


@pytest.mark.parametrize("row", CONNECTING)
def test_a_host_that_can_not_be_connected_to_is_the_right_error(lab, row):
    uri, family = CONNECTING[row]
    with pytest.raises(nova.NovaCronError) as caught:
        novacron.connect(uri.format(lab.hosts[0]), timeout=60)
    assert type(caught.value) is family, repr(caught.value)
    assert caught.value.outcome == "not_sent"
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)


def test_an_address_that_nobody_has_is_unreachable(lab):
    address = lab.hosts[0].address.rpartition(".")[0] + ".77"
    with pytest.raises((nova.HostConnectionError, nova.OperationTimeoutError)) as caught:
        novacron.connect(f"qemu+tcp://{address}/system", timeout=10)
    assert caught.value.outcome == "not_sent"


def test_a_call_on_a_dead_connection_was_not_sent(lab, mended):
    connection = KVMConnection(lab.hosts[0].uri, "dying")
    dead = connection.read
    lab.hosts[0].kill_daemon()
    while dead.isAlive():
        pass
    with pytest.raises(nova.HostConnectionError) as caught, translated("host_get"):
        dead.getHostname()
    assert caught.value.outcome == "not_sent"
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    connection.close()


def test_a_daemon_killed_in_a_call_leaves_the_outcome_unknown(lab, mended):
    raw = libvirt.open(lab.hosts[0].uri)
    lab.hosts[0].freeze_daemon()
    threading.Timer(3, lab.hosts[0].kill_daemon).start()
    with pytest.raises(nova.HostConnectionError) as caught, translated("host_get"):
        raw.getHostname()
    assert caught.value.outcome == "unknown"
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    raw.close()


@pytest.mark.parametrize("fault", ["daemon hung", "link cut"])
def test_a_keepalive_that_ran_out_leaves_the_outcome_unknown(lab, mended, fault):
    raw = libvirt.open(lab.hosts[0].uri)
    raw.setKeepAlive(1, 3)
    (lab.hosts[0].freeze_daemon if fault == "daemon hung" else lab.hosts[0].cut_link)()
    with pytest.raises(nova.HostConnectionError) as caught, translated("host_get"):
        raw.getHostname()
    assert caught.value.outcome == "unknown"
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    raw.close()
