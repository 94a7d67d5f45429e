"""The suite against real libvirt and QEMU: a lab host with its pool, network and a tiny guest."""

from __future__ import annotations

import os

import pytest

from novacron import DiskSpec, KernelSpec, VMHandle, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403

pytestmark = [pytest.mark.lab, pytest.mark.slow]

KNOWN_DEFECTS: dict[str, str] = {}


@pytest.fixture(scope="session")
def novacron_target(wait_for_agent):
    """Two hosts in network namespaces. Their VMs run without an operating system, except those of `boot_guest`."""
    from novacron_lab import Lab

    lab = Lab.up(hosts=2, name=f"conform-{os.getpid()}", temporary=True)
    try:
        kernel = KernelSpec(path=str(lab.guest.kernel), initrd=str(lab.guest.initrd), command_line=lab.guest.command_line)
        uris = [host.uri for host in lab.hosts]
        with connect(uris[0], name="conform") as host, connect(uris[1], name="conform-other") as other:

            def boot(name: str) -> VMHandle:
                vm = host.vms.create(name=name, memory="128MiB", kernel=kernel, start=True)
                wait_for_agent(vm)  # it starts after the daemon that hears the power button
                return vm

            yield Target(
                host,
                new_vm=lambda name: VMSpec(name=name, memory="64MiB"),
                can_boot=True,
                boot_guest=boot,
                disk=DiskSpec(size="16MiB"),
                network="default",
                other=other,
                walks=5,
                fields_step=1 if os.environ.get("NOVACRON_SOAK") else 5,
            )
    finally:
        lab.down()
