"""`novacron wait`, `vm ip`, `events`, `console` and `screenshot`."""

import itertools
import json
import threading

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import InvalidSpecError, NotFoundError, OperationTimeoutError
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def world():
    name = f"watching-{next(WORLDS)}"
    return name


@pytest.fixture
def host(world):
    with api.connect(f"sim://{world}?vms=3") as host:
        yield host


@pytest.fixture
def novacron(world):
    def run(*arguments, stdin=None, code=0):
        done = CliRunner().invoke(cli, ["-c", f"sim://{world}?vms=3", *arguments], input=stdin)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_waiting_ends_when_another_thread_changes_the_status(host):
    vm = host.vms["vm-00003"]
    threading.Timer(0.1, lambda: host.vms["vm-00003"].start()).start()
    assert vm.wait_for("running", timeout="60s") == "running"
    assert vm.wait_for("agent", timeout="60s").hostname == "vm-00003"


def test_waiting_that_is_in_vain_says_what_it_saw_and_an_unknown_condition_is_refused(host):
    with pytest.raises(OperationTimeoutError, match="stopped"):
        host.vms["vm-00003"].wait_for("running", timeout=0.1)
    with pytest.raises(InvalidSpecError, match="happy"):
        host.vms["vm-00003"].wait_for("happy")


def test_the_command_waits_for_one_and_for_many(novacron):
    assert "running" in novacron("wait", "vm-00001", "running").stderr
    assert "2 of 2 done" in novacron("wait", "vm-0000[12]", "agent").stderr
    assert isinstance(novacron("wait", "vm-00003", "running", "--timeout", "0.1s", code=1).exception, OperationTimeoutError)


class Answers:
    """A VM whose sources of addresses are given."""

    name = "web1"

    def __init__(self, reported=(), leased=(), agent=()):
        from types import SimpleNamespace as Some

        nic = Some(record=Some(mac="52:54:00:00:00:01", network="lan", addresses=tuple(reported)))
        leases = [Some(mac=mac, address=address) for mac, address in leased]
        self.nics = [nic]
        self.host = Some(supports=lambda operation: operation != "address_list", networks=Some(leases=lambda _: leases))
        self.guest = Some(info=lambda: Some(addresses=tuple(agent)))


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ({"reported": ["10.0.0.5/24", "fe80::1"], "agent": ["172.17.0.1"]}, [("10.0.0.5", "hypervisor")]),
        ({"leased": [("52:54:00:00:00:01", "10.0.0.6"), ("52:54:00:00:00:02", "10.0.0.7")]}, [("10.0.0.6", "lease")]),
        (
            {"agent": ["127.0.0.1", "::1", "fe80::1%eth0", "169.254.3.4", "10.0.0.8", "2001:db8::8"]},
            [("10.0.0.8", "agent"), ("2001:db8::8", "agent")],
        ),
        ({}, []),
    ],
)
def test_addresses_come_from_the_most_certain_source_and_are_usable(sources, found):
    from novacron.handles.addresses import addresses_of

    assert [(each.address, each.source) for each in addresses_of(Answers(**sources))] == found


def test_ip_prints_addresses_for_scripts(novacron, host):
    known = [address.address for address in host.vms["vm-00001"].addresses()]
    done = novacron("vm", "ip", "vm-00001", code=0 if known else 1)
    assert done.stdout.split() == known
    assert isinstance(novacron("vm", "ip", "vm-00003", code=1).exception, NotFoundError)
    several = novacron("vm", "ip", "vm-*", code=3 if known else 13)
    assert "vm-00003" in several.stderr
    assert all(address in several.stdout for address in known)
    assert not known or "VM" in several.stdout.split()


def test_events_are_printed_as_they_happen(novacron, host):
    ended = threading.Event()

    def change():
        while not ended.wait(0.01):
            host.vms["vm-00001"].suspend()
            host.vms["vm-00001"].resume()

    changing = threading.Thread(target=change)
    changing.start()
    try:
        lines = novacron("events", "--count", "3", "--type", "vm.*", "-o", "json").stdout.splitlines()
    finally:
        ended.set()
        changing.join()
    assert len(lines) == 3
    assert {json.loads(line)["kind"] for line in lines} == {"vm.status"}
    assert novacron("events", "--for", "0.1s", "--type", "none").stdout == ""


def test_a_console_sends_what_is_typed_and_prints_the_answer(novacron):
    assert "attached to vm-00001" in novacron("console", "vm-00001", stdin="").stderr


def test_a_screenshot_is_saved_once(novacron, tmp_path):
    file = tmp_path / "picture"
    novacron("screenshot", "vm-00001", str(file))
    assert file.stat().st_size
    novacron("screenshot", "vm-00001", str(file), code=1)


def test_keys_are_sent_and_a_wrong_one_is_named(novacron):
    novacron("send-key", "vm-00001", "ctrl-alt-delete", "--text", "root", "--enter")
    assert "no such key" in str(novacron("send-key", "vm-00001", "ctrl-alt-x-y", code=1).exception)
    novacron("send-key", "vm-00001", code=2)
