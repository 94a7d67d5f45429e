"""Metrics of a VM from libvirt's bulk statistics, and whether its guest agent is connected."""

from types import SimpleNamespace

import pytest

from novacron_kvm.operations.metrics import vm_metrics
from novacron_kvm.xml.reading import fields

DOMAIN = SimpleNamespace(UUIDString=lambda: "6b1f")


def measured(**values):
    given = {name.replace("__", "."): value for name, value in values.items()}
    return vm_metrics("kvm1", DOMAIN, given, "2026-01-01T00:00:00+00:00")


def test_steal_time_is_summed_over_vcpus_and_kept_apart_from_zero():
    counted = measured(vcpu__maximum=3, vcpu__0__delay=1_500_000_000, vcpu__1__delay=500_000_000)
    assert counted.cpu_ready_seconds == 2.0
    assert measured(vcpu__maximum=2).cpu_ready_seconds is None


def test_swap_and_balloon_are_bytes():
    found = measured(balloon__maximum=2048, balloon__current=1024, balloon__swap_in=3, balloon__swap_out=0)
    assert (found.memory_maximum_bytes, found.memory_bytes) == (2 * 2**20, 2**20)
    assert (found.swapped_in_bytes, found.swapped_out_bytes) == (3072, 0)
    assert measured().swapped_in_bytes is None


@pytest.mark.parametrize(
    ("channel", "connected"),
    [
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>", True),
        ("<target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/>", False),
        ("<target type='virtio' name='org.qemu.guest_agent.0'/>", None),
        ("<target type='virtio' name='com.redhat.spice.0' state='connected'/>", None),
    ],
)
def test_the_guest_agent_is_connected_if_it_opened_its_channel(channel, connected):
    text = f"<domain><name>a</name><devices><channel type='unix'>{channel}</channel></devices></domain>"
    assert fields(text)["agent_connected"] is connected
