"""The suite against a vCenter and a standalone ESXi."""

from __future__ import annotations

import base64
from functools import partial

import pytest

from novacron import DiskSpec, VMSpec, connect
from novacron.testing import Target
from novacron.testing.conformance import *  # noqa: F403
from novacron_lab.vcenter import VCenter


@pytest.fixture(scope="session", params=["vcenter", "esxi"])
def novacron_target(request, sample):
    """A datacenter of four nodes with VMs of its own, and another one; and an ESXi, whose fields are a sample: the driver is the same."""
    walks = sample(6, 20)
    if request.param == "esxi":
        simulator = request.getfixturevalue("esxi")
        with connect(simulator.uri("esx"), name="esxi", password=simulator.password) as host:
            yield target(host, small, walks=walks, fields_step=sample(5, 1))
        return
    with (
        VCenter("-datacenters", "2") as vcenter,
        connect(vcenter.uri(path="/DC0"), name="vcenter", password=vcenter.password) as host,
        connect(vcenter.uri(path="/DC1"), name="other", password=vcenter.password) as other,
    ):
        yield target(host, small_on_a_node, other=other, walks=walks)


def target(host, new_vm, **options):
    return Target(
        host,
        new_vm=new_vm,
        disk=DiskSpec(size="16MiB"),
        pool="LocalDS_0",
        network="VM Network",
        volume_format="vmdk",
        native_lines=partial(guest_info, host.dispatcher.driver.native),
        **options,
    )


def guest_info(native, vm):
    """Yield what cloud-init in the guest reads; an exported definition leaves it out because it may be secret."""
    options = native.read(native.inventory.find(vm), ["config.extraConfig"])["config.extraConfig"]
    values = {option.key: option.value for option in options if option.key.startswith("guestinfo.")}
    for key, value in sorted(values.items()):
        content = base64.b64decode(value).decode() if values.get(f"{key}.encoding") == "base64" else value
        yield from (f"{key} {line}" for line in content.split("\n"))


def small(name):
    return VMSpec(name=name, memory="64MiB")


def small_on_a_node(name):
    """Without a node the simulator chooses one at random, so that equal specs would not be reported alike."""
    return VMSpec(name=name, memory="64MiB", node="DC0_C0_H0")
