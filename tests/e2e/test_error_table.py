"""The error table by provoking each cause on real libvirt and QEMU: the right class, the right outcome, the original kept."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import libvirt
import pytest

import novacron
from novacron import errors as nova
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import TABLE, row_of, translated
from novacron_lab import Lab

sys.path.insert(0, str(Path(__file__).parent))
from error_causes import ROWS, Real

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


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
