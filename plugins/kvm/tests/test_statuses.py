"""Statuses: every (state, reason) of libvirt has one, and none of them is by accident."""

from typing import get_args

import libvirt
import pytest

from novacron.records.vm import Status
from novacron_kvm.statuses import REASON, TABLE, status_of

SPECIAL = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION): "migrating",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP): "running",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SAVED): "saved",
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): "crashed",
}
USUAL = ["unknown", "running", "running", "suspended", "stopping", "stopped", "crashed", "sleeping"]


@pytest.mark.parametrize(("state", "reason"), sorted(REASON))
def test_every_reason_that_libvirt_names_has_its_status_and_words(state, reason):
    status, words = status_of(state, reason)
    assert status == SPECIAL.get((state, reason), USUAL[state])
    assert words == REASON[state, reason]
    assert TABLE[state, reason] == (status, words)


def test_libvirts_constants_were_all_found():
    assert {state for state, _ in REASON} == set(range(8))
    assert REASON[libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR] == "ioerror"
    assert REASON[libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED] == "destroyed"
    assert len(REASON) >= 45


def test_a_vm_that_libvirtd_takes_for_stopped_in_the_middle_of_a_switch_may_run():
    assert status_of(libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN, switching=True) == (
        "unknown",
        "lost by libvirtd",
    )
    assert status_of(libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED, switching=True) == ("stopped", "destroyed")
    assert status_of(libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, switching=True) == ("running", "booted")


@pytest.mark.parametrize("state", range(-1, 12))
@pytest.mark.parametrize("reason", [0, 31, 99])
def test_what_a_newer_libvirt_may_say_is_still_a_status(state, reason):
    assert status_of(state, reason)[0] in get_args(Status)
