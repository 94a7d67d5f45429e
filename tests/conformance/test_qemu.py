"""The suite against real libvirt and QEMU: a lab host with its pool, network and a tiny guest."""

from __future__ import annotations

import pytest

from novacron import DiskSpec, KernelSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403

pytestmark = [pytest.mark.lab, pytest.mark.slow]

KNOWN_DEFECTS = {
    "test_closed_subscription_hears_nothing": "a second subscription is refused: 'event callback already tracked'",
    "test_update_changes_only_what_is_named": "setMetadata of tags: 'failed to create a new XML namespace'",
    "test_reads_go_on_while_a_vm_changes": "a VM that is being started (paused, starting up) is reported as suspended",
}


@pytest.fixture(scope="session")
def novacron_target():
    """One host in a network namespace; its guest boots from kernel and initrd in two seconds and obeys the power button."""
    from novacron_lab import Lab

    lab = Lab.up(hosts=1, name="conform")
    try:
        kernel = KernelSpec(path=str(lab.guest.kernel), initrd=str(lab.guest.initrd), command_line=lab.guest.command_line)
        with connect(lab.hosts[0].uri, name="conform") as host:
            yield Target(
                host,
                new_vm=lambda name: VMSpec(name=name, memory="128MiB", kernel=kernel),
                can_boot=True,
                disk=DiskSpec(size="16MiB"),
                walks=5,
            )
    finally:
        lab.down()
