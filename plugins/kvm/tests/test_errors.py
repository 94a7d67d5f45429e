"""The error table: each row by the real error where libvirt's test driver can be made to raise it, else by one made like it."""

import libvirt
import pytest

import novacron
from novacron import errors as nova
from novacron_kvm.errors import TABLE, mapped, row_of, translated


def made(code, text, number=0):
    """Return libvirt's error as it would be after a call."""
    error = libvirt.libvirtError(text)
    error.err = (code, 0, text, 2, None, None, None, number, -1)
    return error


def code(name):
    return getattr(libvirt, f"VIR_ERR_{name}")


LIKE = [
    # libvirt's own words, as measured on 9.0
    ("INTERNAL_ERROR", "client socket is closed", nova.HostConnectionError, "not_sent"),
    ("INTERNAL_ERROR", "connection closed due to keepalive timeout", nova.HostConnectionError, "unknown"),
    ("SYSTEM_ERROR", "End of file while reading data: Input/output error", nova.HostConnectionError, "unknown"),
    ("SYSTEM_ERROR", "Cannot recv data: Connection reset by peer", nova.HostConnectionError, "unknown"),
    ("SYSTEM_ERROR", "Cannot recv data: Input/output error", nova.HostConnectionError, "unknown"),  # a daemon killed, over TLS
    ("SYSTEM_ERROR", "Cannot write data: Input/output error", nova.HostConnectionError, "unknown"),
    ("SYSTEM_ERROR", "cannot write data to file '/x': Input/output error", nova.DriverError, "failed"),
    ("AUTH_FAILED", "TLS handshake failed The TLS connection was non-properly terminated.", nova.HostConnectionError, "not_sent"),
    ("AUTH_FAILED", "TLS handshake failed A TLS fatal alert has been received.", nova.AuthenticationError, "not_sent"),
    ("SYSTEM_ERROR", "unable to connect to server at 'h:16509': Connection refused", nova.HostConnectionError, "not_sent"),
    ("SYSTEM_ERROR", "Unable to resolve address 'nowhere' service '16509'", nova.HostConnectionError, "not_sent"),
    ("SYSTEM_ERROR", "Failed to connect socket to '/run/libvirt/libvirt-sock'", nova.HostConnectionError, "not_sent"),
    ("SYSTEM_ERROR", "Cannot read CA certificate '/etc/pki/CA/cacert.pem'", nova.AuthenticationError, "not_sent"),
    ("AUTH_FAILED", "authentication failed: authentication failed", nova.AuthenticationError, "not_sent"),
    ("AUTH_CANCELLED", "authentication cancelled", nova.AuthenticationError, "not_sent"),
    ("AUTH_UNAVAILABLE", "no agent", nova.AuthenticationError, "not_sent"),
    ("INVALID_CONN", "invalid connection pointer in virConnectGetHostname", nova.HostConnectionError, "not_sent"),
    ("NO_NWFILTER", "no nwfilter with matching name", nova.TrafficFilterNotFoundError, "failed"),
    ("NO_SECRET", "Secret not found", nova.SecretNotFoundError, "failed"),
    ("INVALID_SECRET", "secret is private", nova.AccessDeniedError, "failed"),
    (
        "SYSTEM_ERROR",
        "Cannot access storage file '/x' (as uid:0, gid:0): No such file or directory",
        nova.ImageNotFoundError,
        "failed",
    ),
    ("SYSTEM_ERROR", "Cannot access backing file '/x' of storage file '/y'", nova.ImageNotFoundError, "failed"),
    ("SYSTEM_ERROR", "unable to stat: /x: No such file or directory", nova.ImageNotFoundError, "failed"),
    ("SYSTEM_ERROR", "Cannot get interface MTU on 'br9': No such device", nova.NetworkNotFoundError, "failed"),
    ("SYSTEM_ERROR", "Unable to get index for interface eth9: No such device", nova.NetworkNotFoundError, "failed"),
    ("INTERNAL_ERROR", "No more available PCI slots", nova.ResourceAllocationError, "failed"),
    ("OPERATION_FAILED", "pool 'p' already exists with uuid 1", nova.AlreadyExistsError, "failed"),
    ("OPERATION_FAILED", "domain 'x' is already defined with uuid 1", nova.AlreadyExistsError, "failed"),
    ("INTERNAL_ERROR", "storage volume name 'web.qcow2' already in use.", nova.AlreadyExistsError, "failed"),
    ("INTERNAL_ERROR", "bridge name 'virbr0' already in use.", nova.AlreadyExistsError, "failed"),
    ("INTERNAL_ERROR", "Network is already in use by interface eth0", nova.AlreadyExistsError, "failed"),
    ("OPERATION_FAILED", "Storage source conflict with pool: 'other'", nova.AlreadyExistsError, "failed"),
    ("INTERNAL_ERROR", 'process exited while connecting to monitor: Failed to get "write" lock', nova.DiskLockedError, "failed"),
    ("RESOURCE_BUSY", "Lockspace resource '/x' is locked", nova.DiskLockedError, "failed"),
    ("SYSTEM_ERROR", "cannot fill file '/x': No space left on device", nova.ResourceAllocationError, "failed"),
    ("OPERATION_FAILED", "Not enough space left in storage pool", nova.ResourceAllocationError, "failed"),
    ("INTERNAL_ERROR", "cannot set up guest memory 'pc.ram': Cannot allocate memory", nova.ResourceAllocationError, "failed"),
    ("INTERNAL_ERROR", "Unable to find any usable hugetlbfs mount", nova.ResourceAllocationError, "failed"),
    ("SYSTEM_ERROR", "cannot set CPU affinity on process 1: Invalid argument", nova.ResourceAllocationError, "failed"),
    ("OPERATION_TIMEOUT", "Timed out during operation: cannot acquire state change lock (held by x)", nova.BusyError, "not_sent"),
    ("OPERATION_TIMEOUT", "Timed out during operation", nova.OperationTimeoutError, "unknown"),
    ("MIGRATE_UNSAFE", "Unsafe migration", nova.MigrationError, "failed"),
    ("OPERATION_ABORTED", "migration out: canceled by client", nova.OperationCancelledError, "failed"),
    ("OPERATION_FAILED", "job 'migration out' failed: Unable to write to socket", nova.MigrationError, "failed"),
    ("INTERNAL_ERROR", "Attempt to migrate guest to the same host x", nova.MigrationError, "failed"),
    ("OPERATION_DENIED", "operation virDomainCreate forbidden for read only access", nova.AccessDeniedError, "failed"),
    ("ACCESS_DENIED", "access denied", nova.AccessDeniedError, "failed"),
    ("AGENT_UNRESPONSIVE", "Guest agent is not responding", nova.GuestAgentUnavailableError, "failed"),
    ("ARGUMENT_UNSUPPORTED", "QEMU guest agent is not configured", nova.GuestAgentUnavailableError, "failed"),
    # only newer ones have it
    ("AGENT_COMMAND_TIMEOUT", "guest agent command timed out", nova.OperationTimeoutError, "unknown"),
    ("CONFIG_UNSUPPORTED", "CPU mode 'host-passthrough' is not supported", nova.UnsupportedOperationError, "failed"),
    ("INTERNAL_ERROR", "Child process (qemu-img snapshot) unexpected exit status 1", nova.SnapshotError, "failed"),
    ("INTERNAL_ERROR", "Unable to read from monitor: Connection reset by peer", nova.InvalidStateError, "unknown"),
    ("INTERNAL_ERROR", "Can't migrate the vm that was paused due to previous migration", nova.InvalidStateError, "failed"),
    (
        "INTERNAL_ERROR",
        "Child process (qemu-img resize x) unexpected exit status 1: qemu-img: Can't resize a v2 image which has snapshots",
        nova.InvalidStateError,
        "failed",
    ),
    ("INTERNAL_ERROR", "process exited while connecting to monitor: Image is not in qcow2 format", nova.StorageError, "failed"),
    ("OPERATION_FAILED", "domain is not running", nova.InvalidStateError, "failed"),
    ("INTERNAL_ERROR", "qemu unexpectedly closed the monitor: bad image", nova.ResourceAllocationError, "failed"),
    ("INTERNAL_ERROR", "process exited while connecting to monitor: bad image", nova.ResourceAllocationError, "failed"),
    # causes that the test driver can't be made to have
    (
        "SYSTEM_ERROR",
        "Cannot recv data: Host key verification failed.: Connection reset by peer",
        nova.AuthenticationError,
        "not_sent",
    ),
    (
        "SYSTEM_ERROR",
        "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied",
        nova.AccessDeniedError,
        "not_sent",
    ),
    ("NO_DOMAIN", "Domain not found", nova.VMNotFoundError, "failed"),
    ("NO_NETWORK", "Network not found", nova.NetworkNotFoundError, "failed"),
    ("NO_STORAGE_POOL", "Storage pool not found", nova.StoragePoolNotFoundError, "failed"),
    ("NO_STORAGE_VOL", "Storage volume not found", nova.VolumeNotFoundError, "failed"),
    ("NO_DOMAIN_SNAPSHOT", "Domain snapshot not found", nova.SnapshotNotFoundError, "failed"),
    ("INTERNAL_ERROR", "referenced filter 'x' is missing", nova.TrafficFilterNotFoundError, "failed"),
    ("STORAGE_VOL_EXIST", "storage volume name 'v' already in use.", nova.AlreadyExistsError, "failed"),
    ("DOM_EXIST", "domain exists", nova.AlreadyExistsError, "failed"),
    ("NETWORK_EXIST", "network exists", nova.AlreadyExistsError, "failed"),
    ("SYSTEM_ERROR", "cannot extend file '/x': File too large", nova.ResourceAllocationError, "failed"),
    ("OPERATION_FAILED", "Unable to find any firmware to satisfy 'efi'", nova.UnsupportedOperationError, "failed"),
    ("SYSTEM_ERROR", "error creating macvtap interface macvtap0@eth0: Device or resource busy", nova.InvalidStateError, "failed"),
    ("INTERNAL_ERROR", "cannot limit locked memory of process 1", nova.ResourceAllocationError, "failed"),
    ("NO_MEMORY", "out of memory", nova.ResourceAllocationError, "failed"),
    ("INTERNAL_ERROR", "Child process (tc qdisc add) unexpected exit status 2", nova.UnsupportedOperationError, "failed"),
    ("SYSTEM_ERROR", "Invalid value '1' for 'cpu.cfs_quota_us': Invalid argument", nova.InvalidSpecError, "failed"),
    ("INTERNAL_ERROR", "unknown rule action attribute value 'x'", nova.InvalidSpecError, "failed"),
    ("OPERATION_INVALID", "cgroup CPU controller is not mounted", nova.UnsupportedOperationError, "failed"),
    ("OPERATION_INVALID", "storage pool 'images' is not active", nova.InvalidStateError, "failed"),
    ("OPERATION_INVALID", "Requested operation is not valid: network 'lab' is not active", nova.InvalidStateError, "failed"),
    ("BLOCK_COPY_ACTIVE", "disk 'vda' already in active block job", nova.BusyError, "not_sent"),
    ("OPERATION_INVALID", "domain is not persistent", nova.InvalidStateError, "failed"),
    ("INTERNAL_ERROR", "internal error: Domain 'x' is already running", nova.InvalidStateError, "failed"),
    ("AGENT_UNSYNCED", "guest agent replied with wrong id", nova.GuestAgentUnavailableError, "failed"),
    ("XML_ERROR", "XML error: no", nova.InvalidSpecError, "failed"),
    ("XML_DETAIL", "at line 1", nova.InvalidSpecError, "failed"),
    ("XML_INVALID_SCHEMA", "Unable to validate", nova.InvalidSpecError, "failed"),
    ("NO_NAME", "missing name", nova.InvalidSpecError, "failed"),
    ("INVALID_ARG", "invalid argument: no", nova.InvalidSpecError, "failed"),
    ("OVERFLOW", "value too large", nova.InvalidSpecError, "failed"),
    ("CONFIG_UNSUPPORTED", "an interface that doesn't support vlan tags", nova.UnsupportedOperationError, "failed"),
    (
        "CONFIG_UNSUPPORTED",
        "unsupported configuration: boot order 3 is already used by another device",
        nova.AlreadyExistsError,
        "failed",
    ),
    ("OPERATION_UNSUPPORTED", "not supported", nova.UnsupportedOperationError, "failed"),
    ("ARGUMENT_UNSUPPORTED", "unsupported flags", nova.UnsupportedOperationError, "failed"),
    ("NO_SUPPORT", "this function is not supported by the connection driver", nova.UnsupportedOperationError, "failed"),
    ("INTERNAL_ERROR", "cannot execute binary /sbin/vgs: No such file", nova.UnsupportedOperationError, "failed"),
    ("INTERNAL_ERROR", "Child process (/usr/bin/mount x y) status 32", nova.StorageError, "failed"),
    ("OPERATION_FAILED", "Failed to take snapshot: Error -28", nova.SnapshotError, "failed"),
    ("INTERNAL_ERROR", "Child process (qemu-img convert x) unexpected exit status 1", nova.StorageError, "failed"),
    (
        "INTERNAL_ERROR",
        "(qemu-img resize x) exit status 1: Could not open: No such file or directory",
        nova.ImageNotFoundError,
        "failed",
    ),
    (
        "INVALID_ARG",
        "Cannot check QEMU binary /usr/bin/qemu-none: No such file or directory",
        nova.UnsupportedOperationError,
        "failed",
    ),
    ("OPERATION_INVALID", "PCI device 0000:05:10.1 is already in use by driver QEMU", nova.InvalidStateError, "failed"),
    ("INTERNAL_ERROR", "internal error: pool 'default' has asynchronous jobs running.", nova.BusyError, "not_sent"),
    ("OPERATION_INVALID", "volume 'a' is still being allocated.", nova.BusyError, "not_sent"),
    ("SYSTEM_ERROR", "Unable to get index for interface none0: No such device", nova.NetworkNotFoundError, "failed"),
    ("INTERNAL_ERROR", "internal error: No more available PCI slots", nova.ResourceAllocationError, "failed"),
]


@pytest.mark.parametrize(("name", "text", "error", "outcome"), [row for row in LIKE if hasattr(libvirt, f"VIR_ERR_{row[0]}")])
def test_each_of_libvirts_causes_is_one_of_ours(name, text, error, outcome):
    found = mapped(made(code(name), text), operation="vm_start", resource="web1")
    assert type(found) is error
    assert (found.outcome, found.operation, found.resource) == (outcome, "vm_start", "web1")
    assert found.message


def test_a_full_disk_is_known_by_its_errno_whatever_the_words():
    assert type(mapped(made(code("SYSTEM_ERROR"), "kein Platz", 28))) is nova.ResourceAllocationError


def test_a_missing_file_is_known_by_its_errno():
    row = row_of(made(code("SYSTEM_ERROR"), "unable to stat: /x", 2))
    assert row is not None
    assert (row.errno, row.error) == (2, nova.ImageNotFoundError)


BY_ERRNO = {28, 2}


def test_each_row_is_reached_by_an_error_of_its_kind():
    """A row that no error reaches is either wrong or hidden by an earlier one."""
    reached = {row_of(made(code(name), text)) for name, text, *_ in LIKE if hasattr(libvirt, f"VIR_ERR_{name}")}
    known = [row for row in TABLE if row.code != -1]  # a newer libvirt knows the others
    assert [row for row in known if row not in reached and row.errno not in BY_ERRNO] == []


def test_an_unknown_error_keeps_everything_that_libvirt_said():
    found = mapped(made(code("INTERNAL_ERROR"), "the moon is in the wrong house"))
    assert type(found) is nova.DriverError
    assert "the moon is in the wrong house" in str(found)
    assert f"code {code('INTERNAL_ERROR')}" in str(found)


def test_no_row_is_hidden_by_one_before_it():
    for number, row in enumerate(TABLE):
        for earlier in TABLE[:number]:
            hides = (
                earlier.code in (None, row.code)
                and (earlier.text is None or earlier.text == row.text)
                and earlier.errno in (None, row.errno)
            )
            assert not hides, f"{row} is never reached: {earlier}"


@pytest.fixture
def host():
    connection = libvirt.open("test:///default")
    yield connection
    connection.close()


def vm(host):
    return host.lookupByName("test")


DOMAIN = "<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
VOLUME = "<volume><name>v</name><capacity>1</capacity></volume>"
POOL = "<pool type='dir'><name>p</name><target><path>/{}</path></target></pool>"
REAL = {
    "unknown VM": (lambda h: h.lookupByName("x"), nova.VMNotFoundError),
    "unknown UUID": (lambda h: h.lookupByUUIDString("12345678-1234-1234-1234-123456789abc"), nova.VMNotFoundError),
    "malformed UUID": (lambda h: h.lookupByUUIDString("x"), nova.InvalidSpecError),
    "unknown network": (lambda h: h.networkLookupByName("x"), nova.NetworkNotFoundError),
    "unknown pool": (lambda h: h.storagePoolLookupByName("x"), nova.StoragePoolNotFoundError),
    "unknown volume": (lambda h: h.storagePoolLookupByName("default-pool").storageVolLookupByName("x"), nova.VolumeNotFoundError),
    "unknown snapshot": (lambda h: vm(h).snapshotLookupByName("x"), nova.SnapshotNotFoundError),
    "not well formed": (lambda h: h.defineXML("<domain"), nova.InvalidSpecError),
    "wrong root": (lambda h: h.defineXML("<network/>"), nova.InvalidSpecError),
    "no name": (lambda h: h.defineXML("<domain type='test'><memory>1</memory></domain>"), nova.InvalidSpecError),
    "against the schema": (
        lambda h: h.defineXMLFlags(
            DOMAIN.format(name="y").replace("<os>", "<nonsense/><os>"), libvirt.VIR_DOMAIN_DEFINE_VALIDATE
        ),
        nova.InvalidSpecError,
    ),
    "started twice": (lambda h: vm(h).create(), nova.InvalidStateError),
    "name of another VM": (lambda h: h.createXML(DOMAIN.format(name="test")), nova.AlreadyExistsError),
    "too many vCPUs": (lambda h: vm(h).setVcpusFlags(9999, libvirt.VIR_DOMAIN_AFFECT_LIVE), nova.InvalidSpecError),
    "no such call": (lambda h: vm(h).migrateToURI3("test:///x", {}, 0), nova.UnsupportedOperationError),
    "read only": (lambda h: libvirt.openReadOnly("test:///default").lookupByName("test").destroy(), nova.AccessDeniedError),
    "volume twice": (
        lambda h: [h.storagePoolLookupByName("default-pool").createXML(VOLUME) for _ in "ab"],
        nova.AlreadyExistsError,
    ),
    "pool twice": (
        lambda h: [h.storagePoolDefineXML(POOL.format(n)).create() for n in "ab"],
        nova.AlreadyExistsError,
    ),
}


@pytest.mark.parametrize("cause", REAL)
def test_libvirts_real_errors_are_ours_with_the_original_as_cause(host, cause):
    provoke, error = REAL[cause]
    with pytest.raises(nova.NovaCronError) as caught, translated("vm_start", "web1"):
        provoke(host)
    assert type(caught.value) is error, repr(caught.value)
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    assert caught.value.outcome == "failed"
    assert "\n" not in str(caught.value)


def test_what_a_hypervisor_can_not_do_is_said_without_the_name_of_a_function():
    """libvirt's test driver has no guest agents."""
    with novacron.connect("test:///default") as host, pytest.raises(nova.UnsupportedOperationError) as raised:
        host.vms["test"].guest.exec("ls")
    assert "vir" not in raised.value.message.replace("libvirt", "")
