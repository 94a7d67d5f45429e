"""What libvirt raises and what NovaCron raises for it: one table, most specific row first.

A row is (libvirt code, text fragment, errno, error class, outcome, hint). The code alone is not enough: INTERNAL_ERROR,
OPERATION_FAILED and SYSTEM_ERROR each stand for many causes, so a fragment of the (English) message or the errno decides. An error
that fits no row becomes DriverError with everything libvirt said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import libvirt

from novacron import errors as nova
from novacron.errors import NovaCronError, Outcome


class Row(NamedTuple):
    """One cause. `code` None fits every code, `text` and `errno` None fit everything."""

    code: int | None
    text: str | None
    errno: int | None
    error: type[NovaCronError]
    outcome: Outcome = "failed"
    hint: str | None = None


def _code(name: str) -> int:
    return int(getattr(libvirt, f"VIR_ERR_{name}", -1))


INTERNAL, FAILED, SYSTEM = _code("INTERNAL_ERROR"), _code("OPERATION_FAILED"), _code("SYSTEM_ERROR")

MISSING_FILE = "the host does not have the file of that path: check the path, and whether its storage is mounted there"

TABLE = (
    # the connection
    Row(
        SYSTEM,
        r"Host key verification failed|Permission denied \(|Could not read from remote",
        None,
        nova.AuthenticationError,
        "not_sent",
        "check the SSH keys and known_hosts; `ssh HOST` must work without a question",
    ),
    Row(
        SYSTEM,
        r"Failed to connect socket.*Permission denied",
        None,
        nova.AccessDeniedError,
        "not_sent",
        "be root or in the group libvirt",
    ),
    Row(None, r"client socket is closed|connection is not open", None, nova.HostConnectionError, "not_sent"),
    Row(
        None,
        r"(read from|write to) monitor",
        None,
        nova.InvalidStateError,
        "unknown",
        "the VM's own process ended meanwhile; look at the VM again",
    ),
    Row(None, r"keepalive timeout", None, nova.HostConnectionError, "unknown"),
    Row(
        _code("AUTH_FAILED"),
        r"TLS handshake failed.*(non-properly terminated|(pull|push) function)",
        None,
        nova.HostConnectionError,
        "not_sent",
    ),
    Row(
        None,
        r"End of file while (reading|writing)|Connection reset by peer|Broken pipe|Cannot (recv|write) data(:|$)",
        None,
        nova.HostConnectionError,
        "unknown",
    ),
    Row(
        SYSTEM,
        r"unable to connect to server|Failed to connect socket|Unable to resolve|No route to host",
        None,
        nova.HostConnectionError,
        "not_sent",
    ),
    Row(
        SYSTEM,
        r"Cannot read (CA|client) (certificate|key)",
        None,
        nova.AuthenticationError,
        "not_sent",
        "check the client certificates",
    ),
    Row(_code("AUTH_FAILED"), None, None, nova.AuthenticationError, "not_sent"),
    Row(_code("AUTH_CANCELLED"), None, None, nova.AuthenticationError, "not_sent"),
    Row(_code("AUTH_UNAVAILABLE"), None, None, nova.AuthenticationError, "not_sent"),
    Row(_code("INVALID_CONN"), None, None, nova.HostConnectionError, "not_sent"),
    # not there
    Row(_code("NO_DOMAIN"), None, None, nova.VMNotFoundError),
    Row(_code("NO_NETWORK"), None, None, nova.NetworkNotFoundError),
    Row(_code("NO_STORAGE_POOL"), None, None, nova.StoragePoolNotFoundError),
    Row(_code("NO_STORAGE_VOL"), None, None, nova.VolumeNotFoundError),
    Row(_code("NO_DOMAIN_SNAPSHOT"), None, None, nova.SnapshotNotFoundError),
    Row(None, r"referenced filter .* is missing", None, nova.TrafficFilterNotFoundError),
    Row(_code("NO_NWFILTER"), None, None, nova.TrafficFilterNotFoundError),
    Row(
        _code("NO_SECRET"),
        None,
        None,
        nova.SecretNotFoundError,
        "failed",
        "libvirt forgets private secrets when it is started again: start the VM by NovaCron, which gives them anew, or define the secret",
    ),
    Row(
        _code("INVALID_SECRET"),
        None,
        None,
        nova.AccessDeniedError,
        "failed",
        "a private secret's value can't be read back from libvirt: look where it came from",
    ),
    Row(
        None,
        r"(Cannot check|Cannot find|Unable to find).*(QEMU|emulator)|emulator .* not found|no emulator found",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "install QEMU for that architecture on the host, or correct the path of <emulator> in the definition",
    ),
    Row(
        SYSTEM,
        r"Cannot access (storage|backing) file|unable to stat|[Ff]ailed to stat|Cannot open|could not stat",
        2,
        nova.ImageNotFoundError,
        "failed",
        MISSING_FILE,
    ),
    Row(SYSTEM, r"Cannot access (storage|backing) file|No such file", None, nova.ImageNotFoundError, "failed", MISSING_FILE),
    Row(
        SYSTEM,
        r"Cannot get interface MTU",
        None,
        nova.NetworkNotFoundError,
        "failed",
        "the bridge does not exist on the host; one of Open vSwitch's needs its daemon (openvswitch-switch)",
    ),
    Row(
        SYSTEM,
        r"Unable to get index for interface",
        None,
        nova.NetworkNotFoundError,
        "failed",
        "the host has no network device of that name (`ip link` on the host lists them): change the NIC with `novacron nic update`",
    ),
    # taken
    Row(
        None,
        r"(PCI|USB|SCSI|mediated) device .*(is|already) in use",
        None,
        nova.InvalidStateError,
        "failed",
        "detach the device from the VM that has it, or stop that VM, first",
    ),
    Row(_code("STORAGE_VOL_EXIST"), None, None, nova.AlreadyExistsError),
    Row(_code("DOM_EXIST"), None, None, nova.AlreadyExistsError),
    Row(_code("NETWORK_EXIST"), None, None, nova.AlreadyExistsError),
    Row(
        None,
        r"already exists with uuid|is already defined with uuid|domain .* already exists|snapshot .* already exists",
        None,
        nova.AlreadyExistsError,
    ),
    Row(
        None,
        r"already in use by|(bridge|storage volume) name .* already in use|Storage source conflict|already exists",
        None,
        nova.AlreadyExistsError,
    ),
    # locks and resources
    Row(
        INTERNAL,
        r"No more available PCI slots",
        None,
        nova.ResourceAllocationError,
        "failed",
        "a running VM gets no new PCIe ports: stop it and attach the device then, or create VMs with more `pcie_ports`",
    ),
    Row(
        None,
        r"File too large",
        None,
        nova.ResourceAllocationError,
        "failed",
        "the host's file system can't hold a file of that size",
    ),
    Row(
        None,
        r"Unable to find any firmware to satisfy",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "install the firmware on the host (ovmf), or choose another machine or firmware",
    ),
    Row(
        None,
        r'Failed to get .*"(write|consistent read|shared \S+)" lock|Is another process using the image',
        None,
        nova.DiskLockedError,
        "failed",
        "another VM, here or on another host, uses the disk",
    ),
    Row(
        SYSTEM,
        r"error creating macvtap interface",
        None,
        nova.InvalidStateError,
        "failed",
        "a device that belongs to a bridge can't carry macvtap: use the bridge, or another device",
    ),
    Row(_code("RESOURCE_BUSY"), None, None, nova.DiskLockedError, "failed", "another VM holds the disk's lease"),
    Row(
        None,
        r"No space left on device|Not enough space left",
        None,
        nova.ResourceAllocationError,
        "failed",
        "free some space in the storage pool",
    ),
    Row(SYSTEM, None, 28, nova.ResourceAllocationError, "failed", "free some space in the storage pool"),
    Row(
        None,
        r"Cannot allocate memory|cannot set up guest memory",
        None,
        nova.ResourceAllocationError,
        "failed",
        "the host is short of memory",
    ),
    Row(None, r"hugetlbfs|hugepages|cannot set CPU affinity|cpuset\.cpus.*out of range", None, nova.ResourceAllocationError),
    Row(
        INTERNAL,
        r"cannot limit locked memory",
        None,
        nova.ResourceAllocationError,
        "failed",
        "a VM with a memory limit may lock so much memory, which its host does not let libvirtd allow (CAP_SYS_RESOURCE)",
    ),
    Row(_code("NO_MEMORY"), None, None, nova.ResourceAllocationError),
    Row(
        INTERNAL,
        r"qdisc kind is unknown|tc .*unexpected exit status",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "the host's kernel lacks what limits a NIC (sch_htb, sch_sfq, act_police)",
    ),
    Row(
        SYSTEM,
        r"Invalid value '.*' for 'cpu\.",
        None,
        nova.InvalidSpecError,
        "failed",
        "a VM's vCPUs, emulator and I/O threads can't each have more CPU than all of the VM",
    ),
    Row(None, r"unknown rule action|unknown rule direction|failed to parse.*filter", None, nova.InvalidSpecError),
    Row(
        None,
        r"cgroup .* controller is not mounted|cgroup isn't mounted",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "libvirtd has no cgroups on this host: limits can be set persistently, in force they need the controller",
    ),
    # state
    Row(
        None,
        r"has asynchronous jobs running|is still (in use|being allocated)",
        None,
        nova.BusyError,
        "not_sent",
        "somebody copies a volume of that storage pool; try again when the copy has ended",
    ),
    Row(
        _code("OPERATION_TIMEOUT"),
        r"cannot acquire state change lock",
        None,
        nova.BusyError,
        "not_sent",
        "another operation holds the VM; try again when it has ended",
    ),
    Row(
        _code("BLOCK_COPY_ACTIVE"),
        None,
        None,
        nova.BusyError,
        "not_sent",
        "the disk's content is being copied or merged; wait for that",
    ),
    Row(_code("OPERATION_TIMEOUT"), None, None, nova.OperationTimeoutError, "unknown"),
    Row(
        _code("OPERATION_INVALID"),
        r"storage pool .* is not active",
        None,
        nova.InvalidStateError,
        "failed",
        "`novacron pool start` makes the storage pool usable",
    ),
    Row(
        _code("OPERATION_INVALID"),
        r"network .* is not active",
        None,
        nova.InvalidStateError,
        "failed",
        "`novacron network start` makes the network usable",
    ),
    Row(_code("OPERATION_INVALID"), None, None, nova.InvalidStateError),
    Row(FAILED, r"domain is not running", None, nova.InvalidStateError, "failed", "it ended meanwhile; look at the VM again"),
    Row(INTERNAL, r"^internal error: Domain '.*' is (already|not) running", None, nova.InvalidStateError),
    Row(
        INTERNAL,
        r"paused due to previous migration",
        None,
        nova.InvalidStateError,
        "failed",
        "its memory was written while it was suspended, and QEMU can't do that again before it has run: resume it first",
    ),
    # migration
    Row(_code("MIGRATE_UNSAFE"), None, None, nova.MigrationError, "failed", "disks need shared storage, or storage='copy'"),
    Row(_code("OPERATION_ABORTED"), None, None, nova.OperationCancelledError),
    Row(FAILED, r"(migration|job '.*').*(failed|cancel)|migration.*unexpectedly", None, nova.MigrationError),
    Row(INTERNAL, r"to the same host", None, nova.MigrationError),
    # access
    Row(_code("OPERATION_DENIED"), None, None, nova.AccessDeniedError),
    Row(_code("ACCESS_DENIED"), None, None, nova.AccessDeniedError),
    # guest agent
    Row(_code("AGENT_UNRESPONSIVE"), None, None, nova.GuestAgentUnavailableError),
    Row(_code("AGENT_UNSYNCED"), None, None, nova.GuestAgentUnavailableError),
    Row(_code("ARGUMENT_UNSUPPORTED"), r"guest agent", None, nova.GuestAgentUnavailableError),
    Row(_code("AGENT_COMMAND_TIMEOUT"), None, None, nova.OperationTimeoutError, "unknown"),
    # what was asked
    Row(_code("XML_ERROR"), None, None, nova.InvalidSpecError),
    Row(_code("XML_DETAIL"), None, None, nova.InvalidSpecError),
    Row(_code("XML_INVALID_SCHEMA"), None, None, nova.InvalidSpecError),
    Row(_code("NO_NAME"), None, None, nova.InvalidSpecError),
    Row(_code("INVALID_ARG"), None, None, nova.InvalidSpecError),
    Row(_code("OVERFLOW"), None, None, nova.InvalidSpecError),
    Row(
        _code("CONFIG_UNSUPPORTED"),
        r"doesn't support vlan|vlan tag not supported",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "libvirt tags packets on bridges of Open vSwitch's only: give openvswitch=True and one of them, or a bridge with a VLAN device",
    ),
    Row(
        _code("CONFIG_UNSUPPORTED"),
        r"boot order \d+ is already used",
        None,
        nova.AlreadyExistsError,
        "failed",
        "another device of the VM has that boot order; `novacron vm show` lists them: give a free one, or change the other first",
    ),
    Row(_code("CONFIG_UNSUPPORTED"), None, None, nova.UnsupportedOperationError),
    Row(_code("OPERATION_UNSUPPORTED"), None, None, nova.UnsupportedOperationError),
    Row(_code("ARGUMENT_UNSUPPORTED"), None, None, nova.UnsupportedOperationError),
    Row(
        _code("NO_SUPPORT"),
        None,
        None,
        nova.UnsupportedOperationError,
        "failed",
        "libvirt on that host can't do it, or lacks its daemon for storage, networks or devices: install or start libvirtd there",
    ),
    Row(
        INTERNAL,
        r"Can't resize a v2 image which has snapshots",
        None,
        nova.InvalidStateError,
        "failed",
        "delete its snapshots first, or convert it to a newer qcow2",
    ),
    Row(
        INTERNAL,
        r"cannot execute binary|iscsiadm .*status '127'",
        None,
        nova.UnsupportedOperationError,
        "failed",
        "the host lacks the program that this kind of storage pool needs (lvm2, open-iscsi, nfs-common)",
    ),
    Row(
        INTERNAL,
        r"/(mount|umount|pvs|pvcreate|vgs|vgcreate|vgchange|lvs|lvcreate|iscsiadm)\b",
        None,
        nova.StorageError,
        "failed",
        "is the pool's source there, and can the host reach it?",
    ),
    Row(
        FAILED,
        r"Failed to take snapshot|writing VM state",
        None,
        nova.SnapshotError,
        "failed",
        "is there space in the storage pool for the memory of the VM?",
    ),
    Row(INTERNAL, r"qemu-img .*No such file or directory", None, nova.ImageNotFoundError, "failed", MISSING_FILE),
    Row(
        INTERNAL,
        r"qemu-img (create|convert|resize).*unexpected exit status",
        None,
        nova.StorageError,
        "failed",
        "correct what qemu-img reports in the message, then try again",
    ),
    Row(INTERNAL, r"qemu-img.*unexpected exit status", None, nova.SnapshotError, "failed", "is the disk's image file there?"),
    Row(
        INTERNAL,
        r"not in \S+ format|Could not open|Invalid password|No encryption in image header",
        None,
        nova.StorageError,
        "failed",
        "is the disk's image whole, of that format, and the passphrase right?",
    ),
    Row(
        INTERNAL,
        r"qemu unexpectedly closed the monitor|process exited while connecting to monitor",
        None,
        nova.ResourceAllocationError,
        "failed",
        "QEMU ended at once; its own words are in the message",
    ),
)


def row_of(error: libvirt.libvirtError) -> Row | None:
    """Return the row that fits an error of libvirt's, None when it is of no known cause."""
    code, text, number = error.get_error_code(), error.get_error_message() or str(error), error.get_int1()
    for row in TABLE:
        if (
            (row.code is None or row.code == code)
            and (row.text is None or re.search(row.text, text))
            and (row.errno is None or row.errno == number)
        ):
            return row
    return None


def mapped(error: libvirt.libvirtError, *, operation: str | None = None, resource: str | None = None) -> NovaCronError:
    """Return NovaCron's error for one of libvirt's; the caller raises it from the original."""
    row, text = row_of(error), _plain(error.get_error_message() or str(error))
    if row is not None:
        return row.error(text, operation=operation, resource=resource, hint=row.hint, outcome=row.outcome)
    return nova.DriverError(
        f"libvirt says: {text} (domain {error.get_error_domain()}, code {error.get_error_code()})",
        operation=operation,
        resource=resource,
    )


def _plain(text: str) -> str:
    text = re.sub(r"(?s)^([^\n]*:\d+: [^\n]*)\n.*\n-*\^.*$", r"\1", text)  # libxml2 quotes the line, which may have a secret
    text = re.sub(
        r"^this function is not supported by the connection driver: \S+$", "libvirt can't do this with this hypervisor", text
    )
    text = re.sub(r"^(internal error|operation failed|Requested operation is not valid|invalid argument): ", "", text).strip()
    return re.sub(r"[.:]?\s*\n+\s*", "; ", text)  # QEMU's own words come in lines


@contextmanager
def translated(operation: str | None = None, resource: str | None = None) -> Iterator[None]:
    """Raise NovaCron's error for what libvirt raises within, the original as its cause.

    Args:
        operation: only for code that runs after its operation returned, such as an open console. Within an operation the dispatcher
            writes its name into the error.
        resource: the name or id of what the error is about.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        raise mapped(error, operation=operation, resource=resource) from error


__all__ = ["TABLE", "Row", "mapped", "row_of", "translated"]
