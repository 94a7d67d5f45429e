"""A block job whose connection is lost is followed on the next one, and its true outcome is told."""

from types import SimpleNamespace

import libvirt
import pytest

from novacron import errors
from novacron.jobs import Job
from novacron_kvm.connection import RECONNECT_TIMEOUT, KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.jobs import block_jobs
from novacron_kvm.jobs.block_jobs import run_block_job

COPY, COMMIT = libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY, libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT
OPERATION_FAILED = libvirt.VIR_ERR_OPERATION_FAILED


def error(text, code=libvirt.VIR_ERR_RPC):
    made = libvirt.libvirtError(text)
    made.err = (code, 7, text, 2, None, None, None, -1, -1)
    return made


class QEMU:
    """A VM's disk and its block job, as they go on without a daemon.

    Attributes:
        lives: whether libvirt could take the VM over.
        lost_in: the name of the call in which the connection is lost, once, and whether the daemon had passed the call on.
    """

    def __init__(self, lost_in, *, passed_on=False, lives=True, job_survives=True, steps=2):
        self.lost_in, self.passed_on, self.lives, self.job_survives = lost_in, passed_on, lives, job_survives
        self.source, self.job, self.left, self.aborted, self.connections = "/pool/old", None, steps, False, 0


class Domain:
    """The VM on one connection."""

    def __init__(self, qemu):
        self.qemu, self.lost = qemu, False

    def UUIDString(self):
        return "6f8ff1d0-36c5-4fe4-8e92-0d3f6ed1a2f9"

    def name(self):
        return "web1"

    def _call(self, name, action):
        if self.lost:
            raise error("client socket is closed")
        if self.qemu.lost_in == name:
            self.lost, self.qemu.lost_in = True, ""
            if self.qemu.passed_on:
                action()
            elif not self.qemu.job_survives:
                self.qemu.job = None
            raise error("End of file while reading data: Input/output error")
        if not self.qemu.lives and self.qemu.connections:
            raise error("domain is not running", libvirt.VIR_ERR_OPERATION_INVALID)
        return action()

    def start(self):
        def begin():
            self.qemu.job = "/pool/new"

        return self._call("start", begin)

    def blockJobInfo(self, target, flags):
        def info():
            if self.qemu.job is None:
                return {}
            self.qemu.left = max(0, self.qemu.left - 1)
            return {"cur": 10 - self.qemu.left, "end": 10, "type": COPY}

        return self._call("info", info)

    def blockJobAbort(self, target, flags):
        def abort():
            if flags & libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT:
                self.qemu.source = self.qemu.job
            else:
                self.qemu.aborted = True
            self.qemu.job = None

        return self._call("abort", abort)

    def XMLDesc(self, flags):
        mirror = (
            f'<mirror ready="{"no" if self.qemu.left else "yes"}"><source file="{self.qemu.job}"/></mirror>'
            if self.qemu.job
            else ""
        )
        disk = f'<disk type="file"><source file="{self.qemu.source}"/>{mirror}<target dev="vda"/></disk>'
        return self._call("xml", lambda: f"<domain><devices>{disk}</devices></domain>")


class Connection:
    """What `resumable` needs of a host: each attempt has a new connection."""

    resumable = KVMConnection.resumable
    _pool = SimpleNamespace(closed=False)

    def __init__(self, qemu, refused=0):
        self.qemu, self.refused = qemu, refused

    def dedicated(self):
        from contextlib import contextmanager

        @contextmanager
        def given():
            if self.refused:
                self.refused -= 1
                raise errors.HostConnectionError("connection refused", outcome="not_sent")
            self.qemu.connections += 1
            yield self

        return given()

    def lookupByUUIDString(self, identity):
        return Domain(self.qemu)


def test_a_host_that_stays_away_is_given_up_however_long_one_attempt_takes(monkeypatch):
    now = [0.0]

    class Away(Connection):
        def dedicated(self):
            now[0] += RECONNECT_TIMEOUT + 10
            raise errors.OperationTimeoutError("no connection", outcome="not_sent")

    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr("novacron_kvm.connection.time", clock)
    with pytest.raises(errors.OperationTimeoutError) as caught:
        Away(None).resumable(lambda connection: None)
    assert now[0] == RECONNECT_TIMEOUT + 10
    assert caught.value.outcome == "unknown"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, value in (("POLL", 0.001), ("SETTLE", 0.05), ("PIVOT_SETTLE", 0.02)):
        monkeypatch.setattr(block_jobs, name, value)


def run(qemu, *, refused=0, **wanted):
    connection, domain = Connection(qemu, refused), Domain(qemu)
    with translated():
        run_block_job(connection, domain, "vda", domain.start, Job("vm_migrate_storage"), lambda fraction: None, **wanted)


@pytest.mark.parametrize("refused", [0, 2])
@pytest.mark.parametrize(
    ("lost_in", "passed_on"), [("info", False), ("start", True), ("abort", False), ("abort", True), ("", False)]
)
def test_a_copy_that_goes_on_in_qemu_is_completed(lost_in, passed_on, refused):
    qemu = QEMU(lost_in, passed_on=passed_on)
    run(qemu, pivot=True, refused=refused)
    assert (qemu.source, qemu.job, qemu.aborted) == ("/pool/new", None, False)


@pytest.mark.parametrize(("lost_in", "survives"), [("start", True), ("info", False), ("abort", False)])
def test_a_copy_that_did_not_survive_is_a_failure_and_the_disk_is_as_before(lost_in, survives):
    qemu = QEMU(lost_in, job_survives=survives)
    with pytest.raises(errors.StorageError, match="ended early") as caught:
        run(qemu, pivot=True)
    assert caught.value.outcome == "failed"
    assert "restarted" in caught.value.hint
    assert qemu.source == "/pool/old"


def test_a_vm_that_ended_with_the_daemon_has_an_unknown_outcome():
    with pytest.raises(errors.HostConnectionError, match="End of file") as caught:
        run(QEMU("info", lives=False), pivot=True)
    assert caught.value.outcome == "unknown"


def test_a_daemon_that_stays_away_is_an_unknown_outcome(monkeypatch):
    monkeypatch.setattr("novacron_kvm.connection.RECONNECT_TIMEOUT", 0.3)
    with pytest.raises(errors.HostConnectionError) as caught:
        run(QEMU("info"), pivot=True, refused=100)
    assert caught.value.outcome == "unknown"


def test_a_merge_ends_when_the_file_has_left_the_chain():
    qemu = QEMU("info")

    class Merged(Connection):
        def lookupByUUIDString(self, identity):
            qemu.job = None  # it ended while no daemon was there
            return Domain(qemu)

    domain = Domain(qemu)
    run_block_job(Merged(qemu), domain, "vda", domain.start, Job("disk_pull"), lambda fraction: None, without="/pool/base")


def test_cancelling_aborts_the_copy_on_the_new_connection_too():
    qemu, job = QEMU("info", steps=10**6), Job("vm_migrate_storage")
    domain = Domain(qemu)
    with pytest.raises(errors.OperationCancelledError):
        run_block_job(
            Connection(qemu), domain, "vda", domain.start, job, lambda fraction: qemu.connections and job.cancel(), pivot=True
        )
    assert (qemu.source, qemu.aborted) == ("/pool/old", True)


class Concluded(Domain):
    """A VM whose block job ends by itself just before it is aborted. libvirt shows the end a few calls later."""

    def __init__(self, qemu, *, ends=True):
        super().__init__(qemu)
        self.ends, self.calls = ends, 0

    def blockJobAbort(self, target, flags):
        self.calls += 1
        raise error("Job 'pull-vda-libvirt-1-format' in state 'concluded' cannot accept command verb 'cancel'", OPERATION_FAILED)

    def blockJobInfo(self, target, flags):
        answer = super().blockJobInfo(target, flags)
        if self.calls and self.ends:
            self.calls += 1
            if self.calls > 3:
                self.qemu.job = None
        return answer

    def XMLDesc(self, flags):
        base = '<backingStore><source file="/pool/base"/></backingStore>' if self.qemu.job else ""
        disk = f'<disk type="file"><source file="{self.qemu.source}"/>{base}<target dev="vda"/></disk>'
        return f"<domain><devices>{disk}</devices></domain>"


def test_a_merge_that_ends_just_before_it_is_cancelled_has_ended():
    qemu, job = QEMU("", steps=10**6), Job("disk_pull")
    domain = Concluded(qemu)
    job.cancel()
    run_block_job(Connection(qemu), domain, "vda", domain.start, job, lambda fraction: None, without="/pool/base")
    assert qemu.job is None


def test_a_job_that_can_not_be_aborted_and_goes_on_is_said(monkeypatch):
    monkeypatch.setattr(block_jobs, "SETTLE", 0.0)
    qemu, job = QEMU("", steps=10**6), Job("disk_pull")
    domain = Concluded(qemu, ends=False)
    job.cancel()
    with pytest.raises(libvirt.libvirtError, match="concluded"):
        run_block_job(Connection(qemu), domain, "vda", domain.start, job, lambda fraction: None, without="/pool/base")
