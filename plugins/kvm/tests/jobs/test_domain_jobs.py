"""Libvirt's jobs of a VM, as the blocks that wait for them see them."""

from __future__ import annotations

from contextlib import nullcontext

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
