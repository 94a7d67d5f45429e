"""What makes real libvirt and QEMU fail, and the error that each cause is."""

import uuid
from pathlib import Path

import libvirt

from novacron import errors as nova

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
