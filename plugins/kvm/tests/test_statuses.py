"""Statuses: every (state, reason) of libvirt has one, and none of them is by accident."""

from typing import get_args

import libvirt
import pytest

from novacron.records.vm import Status
from novacron_kvm.statuses import REASON, TABLE, _reasons, status_of

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
    assert len(REASON) >= 42


def test_a_reason_is_what_libvirts_constant_says_in_words():
    """libvirt 9.0 has these reasons; a newer one may have more."""
    known = {
        (libvirt.VIR_DOMAIN_NOSTATE, 0): "unknown",
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT): "from snapshot",
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED): "postcopy failed",
        (libvirt.VIR_DOMAIN_BLOCKED, 0): "unknown",
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN): "shutting down",
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): "ioerror",
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON): "daemon",
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED): "panicked",
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0): "unknown",
    }
    read = _reasons()
    assert read == REASON
    assert {pair: read.get(pair) for pair in known} == known
    assert {"", "last"}.isdisjoint(read.values())
    assert {state for state, _ in read} == set(range(8))


def test_the_ways_to_shut_a_guest_down_are_no_reasons():
    """libvirt's constants for them look like reasons of the state SHUTDOWN. Those with the same numbers mean something else."""
    assert {reason: words for (state, reason), words in _reasons().items() if state == libvirt.VIR_DOMAIN_SHUTDOWN} == {
        libvirt.VIR_DOMAIN_SHUTDOWN_UNKNOWN: "unknown",
        libvirt.VIR_DOMAIN_SHUTDOWN_USER: "user",
    }


def test_a_reason_that_libvirt_does_not_name_is_unknown():
    assert status_of(libvirt.VIR_DOMAIN_RUNNING, 31) == ("running", "unknown")
    assert status_of(libvirt.VIR_DOMAIN_SHUTDOWN, libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == ("stopping", "unknown")
    assert status_of(99, 0) == ("unknown", "unknown")


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
