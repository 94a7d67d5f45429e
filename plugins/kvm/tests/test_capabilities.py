"""Which virt type is used: KVM only where a probe showed that it runs guests; the answer is remembered for a day."""

import json
import threading
import time

import pytest

import novacron
from novacron.state import StateDirectory, state_directory
from novacron.threads import in_thread
from novacron_kvm import capabilities
from novacron_kvm.capabilities import best_virt_type, guests
from novacron_kvm.connection import KVMConnection

CAPABILITIES = """<capabilities><host><uuid>{uuid}</uuid></host>
  <guest><os_type>hvm</os_type><arch name='x86_64'><machine>pc</machine><machine>q35</machine>{types}</arch></guest>
  <guest><os_type>hvm</os_type><arch name='aarch64'><machine>virt</machine><domain type='qemu'/></arch></guest>
  <guest><os_type>exe</os_type><arch name='i686'><domain type='lxc'/></arch></guest></capabilities>"""
BOTH = "<domain type='qemu'/><domain type='kvm'/>"


class Host:
    """What the probe asks of a connection."""

    def __init__(self, uuid, types=BOTH):
        self.identity, self.text = uuid, CAPABILITIES.format(uuid=uuid, types=types)

    state = StateDirectory()

    @property
    def read(self):
        return self

    def getCapabilities(self):
        return self.text


@pytest.fixture
def probe(monkeypatch):
    """How many seconds the probe guest takes by virt type, None where it never ends; and what was tried."""
    seconds, tried = {"qemu": 0.2, "kvm": 0.2}, []

    def measure(connection, arch, virt_type, limit):
        tried.append((virt_type, limit))
        taken = seconds[virt_type]
        return taken if taken is not None and taken < limit else None

    monkeypatch.setattr(capabilities, "_firmware_seconds", measure)
    (state_directory(create=True) / "kvm-probe.json").unlink(missing_ok=True)
    yield seconds, tried
    (state_directory(create=True) / "kvm-probe.json").unlink(missing_ok=True)


def test_architectures_with_their_types_and_machines():
    assert guests(Host("u")) == {
        "x86_64": {"virt_types": ("qemu", "kvm"), "machines": ("pc", "q35")},
        "aarch64": {"virt_types": ("qemu",), "machines": ("virt",)},
    }


def test_kvm_that_runs_guests_is_used(probe):
    assert best_virt_type(Host("good"), "x86_64") == ("kvm", "a probe showed that KVM runs guests")


@pytest.mark.parametrize("taken", [None, 3.0])
def test_kvm_that_is_slower_than_emulation_is_not_used_and_it_is_said_why(probe, taken):
    probe[0]["kvm"] = taken
    virt_type, reason = best_virt_type(Host(f"bad-{taken}"), "x86_64")
    assert virt_type == "qemu"
    assert "probe" in reason
    assert "0.2 s" in reason


def test_without_emulation_to_compare_with_the_probe_has_its_own_limit(probe):
    best_virt_type(Host("only", "<domain type='kvm'/>"), "x86_64")
    assert probe[1] == [("kvm", capabilities.PROBE_SECONDS)]


def test_nothing_is_probed_where_no_kvm_is_offered(probe):
    assert best_virt_type(Host("none"), "aarch64")[0] == "qemu"
    assert best_virt_type(Host("none"), "s390x")[0] == "qemu"
    assert probe[1] == []


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"again": 7}', '{"again": {}}'])
def test_the_answer_is_remembered_for_each_host_and_spoiled_memory_is_no_error(probe, broken):
    (state_directory() / "kvm-probe.json").write_text(broken)
    first = best_virt_type(Host("again"), "x86_64")
    tried = len(probe[1])
    assert tried
    assert best_virt_type(Host("again"), "x86_64") == first
    assert len(probe[1]) == tried
    best_virt_type(Host("another"), "x86_64")
    assert len(probe[1]) == 2 * tried


def test_an_answer_of_yesterday_is_asked_again(probe):
    best_virt_type(Host("old"), "x86_64")
    file = state_directory() / "kvm-probe.json"
    known = json.loads(file.read_text())
    known["old"]["at"] = time.time() - capabilities.PROBE_VALID_SECONDS - 1
    file.write_text(json.dumps(known))
    tried = len(probe[1])
    best_virt_type(Host("old"), "x86_64")
    assert len(probe[1]) > tried


def test_the_test_driver_has_the_one_type_that_it_has():
    connection = KVMConnection("test:///default", "t")
    try:
        assert best_virt_type(connection, "i686")[0] == "test"
    finally:
        connection.close()
    with novacron.connect("test:///default") as host:
        assert host.capabilities().virt_type == "test"


@pytest.mark.lab
def test_the_real_probe_ends_and_leaves_no_guest(lab, lab_hosts):
    native = lab_hosts[0].dispatcher.driver.native
    taken = capabilities._firmware_seconds(native, "x86_64", "qemu", 10)
    assert taken is not None
    assert taken < 10
    assert capabilities._firmware_seconds(native, "x86_64", "qemu", 0.01) is None
    assert not [d.name() for d in native.read.listAllDomains() if d.name().startswith("novacron-probe")]


def test_a_probe_of_one_host_delays_no_other_host(probe, monkeypatch):
    """A probe takes seconds, and much longer if its host hangs."""
    begun, go_on, measure = threading.Event(), threading.Event(), capabilities._firmware_seconds

    def slow(connection, arch, virt_type, limit):
        if connection.identity == "slow":
            begun.set()
            assert go_on.wait(60)
        return measure(connection, arch, virt_type, limit)

    monkeypatch.setattr(capabilities, "_firmware_seconds", slow)
    first = in_thread(lambda: best_virt_type(Host("slow"), "x86_64"), "probe")
    assert begun.wait(60)
    other = in_thread(lambda: best_virt_type(Host("quick"), "x86_64"), "probe")
    assert other.result(60)[0] == "kvm"
    assert not first.done()
    go_on.set()
    assert first.result(60)[0] == "kvm"
    assert json.loads((state_directory() / "kvm-probe.json").read_text()).keys() == {"slow", "quick"}
