"""Libvirt's jobs of a VM, as the blocks that wait for them see them."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from threading import Event

import libvirt
import pytest

from novacron.errors import OperationCancelledError
from novacron.jobs import Job
from novacron_kvm.jobs.domain_jobs import job_progress


class Connection:
    """A host with one VM."""

    operation = nullcontext

    def domain(self, vm):
        return Domain()


class Domain:
    """A domain that does not run: there is nothing to abort."""

    def isActive(self):
        return False

    def abortJob(self):
        raise libvirt.libvirtError("no job")


@pytest.mark.parametrize(
    ("text", "cancelled", "raised"),
    [
        ("operation failed: job 'snapshot' unexpectedly failed", True, OperationCancelledError),
        ("operation failed: job 'snapshot' unexpectedly failed", False, libvirt.libvirtError),
        ("internal error: no space left on device", True, libvirt.libvirtError),
    ],
)
def test_a_job_that_fails_because_it_was_aborted_is_cancelled(text, cancelled, raised):
    """Other failures keep their reason, also after a wish to cancel."""
    job = Job("snapshot_create", "web1")

    def run():
        with job_progress(Connection(), "uuid", job, "saving"):
            if cancelled:
                job.cancel()
            raise libvirt.libvirtError(text)

    with pytest.raises(raised):
        run()


class Slow(Connection):
    """A host whose VM is looked up slowly, and that counts the aborts."""

    def __init__(self):
        self.asked, self.go_on, self.aborted = Event(), Event(), Event()

    def domain(self, vm):
        self.asked.set()
        assert self.go_on.wait(60)
        return self

    def isActive(self):
        return False

    def abortJob(self):
        self.aborted.set()


def test_a_watcher_that_is_late_does_not_abort_the_next_job_of_the_vm():
    """Its look at the VM may take longer than the job that it watches."""
    job, host = Job("snapshot_create", "web1"), Slow()
    with job_progress(host, "uuid", job, "saving"):
        assert host.asked.wait(60)
        job.cancel()
    host.go_on.set()
    for thread in threading.enumerate():
        if thread.name == "novacron-job":
            thread.join(60)
    assert not host.aborted.is_set()


def test_an_abort_under_way_is_waited_for():
    """If it reached libvirt later, it would end the VM's next job."""
    job, host = Job("snapshot_create", "web1"), Slow()
    aborting, ended = Event(), Event()

    def abort():
        aborting.set()
        ended.wait(1.5)  # longer than the watcher is waited for otherwise
        ended.set()

    host.abortJob = abort
    host.go_on.set()
    with job_progress(host, "uuid", job, "saving"):
        job.cancel()
        assert aborting.wait(60)
    assert ended.is_set()
