"""MAC addresses: none is given out twice, and those that clash are found."""

import random
import subprocess
import sys

import pytest

import novacron
from novacron import macs
from novacron.site import default_site

ASKING = """
import random, sys
from novacron import macs
from novacron.site import default_site
draw = random.Random(7)  # the same addresses in every process, in the same order
macs.candidate = lambda: f"{macs.PREFIX}:00:{draw.randrange(256):02x}:{draw.randrange(256):02x}"
print("ready", flush=True)
sys.stdin.readline()
print(*(default_site().macs.new() for _ in range(40)), sep="\\n")
"""


@pytest.fixture
def worlds():
    names = [f"macs-{random.randrange(10**9)}-{letter}" for letter in "ab"]
    return names


def asked_at_once(count):
    """The addresses that so many processes got, which all try the same ones in the same order at the same time."""
    processes = [
        subprocess.Popen([sys.executable, "-c", ASKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=120)[0].split() for process in processes]


def test_processes_that_ask_at_once_get_addresses_of_their_own(own_state):
    given = asked_at_once(4)
    assert [len(addresses) for addresses in given] == [40] * 4
    assert len({address for addresses in given for address in addresses}) == 160


def test_so_do_those_that_share_a_postgresql(own_state, postgresql):
    given = asked_at_once(3)
    assert len({address for addresses in given for address in addresses}) == 120


def test_an_address_that_is_taken_or_was_given_is_not_given_again(own_state, monkeypatch):
    drawn = iter(["52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:02", "52:54:00:00:00:03"])
    monkeypatch.setattr(macs, "candidate", lambda: next(drawn))
    assert default_site().macs.new({"52:54:00:00:00:01": "db1"}) == "52:54:00:00:00:02"
    assert default_site().macs.new() == "52:54:00:00:00:03"


def test_clashes_are_found_over_all_hosts_and_what_was_seen_is_not_given(own_state, worlds, monkeypatch):
    fleet = novacron.fleet()
    mac = "52:54:00:aa:00:01"
    for number, world in enumerate(worlds):
        fleet.add(f"clash-{number}", f"sim://{world}")
        host = fleet.hosts[f"clash-{number}"]
        host.vms.create(
            name=f"vm{number}",
            nics=[{"network": "default", "mac": mac}, {"network": "default", "mac": f"52:54:00:bb:00:0{number}"}],
        )
    try:
        (clash,) = fleet.mac_clashes()
        assert (clash.mac, clash.vms) == (mac, ("clash-0/vm0", "clash-1/vm1"))
        drawn = iter(["52:54:00:bb:00:00", mac, "52:54:00:bb:00:01", "52:54:00:cc:00:01"])
        monkeypatch.setattr(macs, "candidate", lambda: next(drawn))
        assert default_site().macs.new() == "52:54:00:cc:00:01"
    finally:
        for number in range(2):
            fleet.remove(f"clash-{number}")


def test_a_machine_that_is_registered_twice_does_not_clash_with_itself(own_state):
    fleet = novacron.fleet()
    for name in ("once", "twice", "third"):
        fleet.add(
            name, f"sim://{'other' if name == 'third' else 'same'}-machine?vms=2&prefix={name[:2] if name == 'third' else 'vm'}-"
        )
    try:
        macs = [nic.mac for vm in fleet.hosts["once"].vms.list(detail="full").records for nic in vm.nics or ()]
        assert macs, "the VMs have NICs"
        assert [clash for clash in fleet.mac_clashes() if any(vm.startswith("twice/") for vm in clash.vms)] == []
    finally:
        for name in ("once", "twice", "third"):
            fleet.remove(name)
