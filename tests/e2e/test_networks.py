"""Networks, NICs and traffic filters on a real host: two guests that may talk do, two that may not don't."""

import uuid

import pytest
from lxml import etree

from novacron import errors
from novacron.specs import NetworkSpec, NICUpdate, TrafficFilterSpec
from novacron_lab.running import run

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def a(lab_hosts):
    return lab_hosts[0]


class Talkers:
    """Two guests on one isolated network; the second pings the first. Tests share them until one of them changes a NIC or the network."""

    mac, address = "52:54:00:aa:00:01", "10.77.0.11"

    def __init__(self, lab, host, boot):
        self.lab, self.host, self.boot = lab, host, boot
        self.parts = self.before = None

    def get(self):
        """Return the network and both guests, when the second hears the first."""
        if self.parts is None:
            self.parts = self._create()
            heard(self.parts[2], "answered")
            self.before = self._state()
        return self.parts

    def discard_if_changed(self):
        if self.parts is not None and self._state() != self.before:
            self.discard()

    def discard(self):
        """Delete both guests, then their network."""
        if self.parts is not None:
            network, *guests = self.parts
            self.parts = None
            for vm in guests:
                if vm.id in self.host.vms:
                    vm.delete(force=True)
            self.host.networks.delete(network.name)

    def _create(self):
        network = self.host.networks.create(
            name=f"lan-{uuid.uuid4().hex[:4]}",
            type="isolated",
            cidr="10.77.0.1/24",
            dhcp_start="10.77.0.50",
            dhcp_end="10.77.0.90",
            stp=False,
            dhcp_hosts=[{"mac": self.mac, "address": self.address, "hostname": "first"}],
        )
        first = self.boot(self.host, "first", ticks=0, nics=[{"network": network.name, "mac": self.mac}])
        second = pinging(self.lab, self.boot, self.host, network.name, self.address)
        first.console.wait_for(f"NOVACRON ADDRESS {self.address}", 120)
        return network, first, second

    def _state(self):
        network, *guests = self.parts
        nics = [self.host.vms[vm.id].record.nics if vm.id in self.host.vms else None for vm in guests]
        return self.host.networks[network.name], nics


@pytest.fixture(scope="module")
def talkers(lab, a, boot_shared):
    pair = Talkers(lab, a, boot_shared)
    yield pair
    pair.discard()


@pytest.fixture
def talking(talkers):
    yield talkers.get()
    talkers.discard_if_changed()


def heard(vm, word, times=2):
    """Wait until the guest says this of its pings, so many times in a row from now on."""
    at = len(vm.console.text)

    def said():
        words = [line.split()[-1] for line in vm.console.text[at:].splitlines()[:-1] if "NOVACRON PING" in line]
        return words[-times:] == [word] * times

    vm.console.wait_until(said, 120, f"PING {word}")


def definition(lab, network):
    """What libvirt says of a network."""
    return etree.fromstring(lab.hosts[0].exec("virsh", "net-dumpxml", network).stdout)


def nic_of(vm):
    return next(iter(vm.nics))


# --- networks ---


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("nat", {"cidr": "10.78.1.1/24", "dhcp_start": "10.78.1.10", "dhcp_end": "10.78.1.20", "domain": "lab.test"}),
        ("routed", {"cidr": "10.78.2.1/24"}),
        ("isolated", {"cidr": "10.78.3.1/24", "mtu": 1400, "stp": False}),
        ("isolated", {"stp": True, "forward_delay": 5}),
        ("open", {"cidr": "10.78.4.1/24", "dns_hosts": [{"address": "10.78.4.9", "names": ["nine", "neuf"]}]}),
        ("bridged", {"bridge": "guests"}),
        ("macvtap", {"device": "uplink"}),
        ("isolated", {"cidr": "fd00:78::1/64"}),
        ("isolated", {}),
    ],
)
def test_every_kind_of_network_is_made_as_asked(lab, a, lan, kind, fields):
    network = lan(type=kind, **fields)
    assert (network.type, network.active, network.autostart) == (kind, True, True)
    assert network.cidrs == ((fields["cidr"],) if "cidr" in fields else ())
    assert network.domain == fields.get("domain")
    assert network == a.networks[network.name]
    bridge = definition(lab, network.name).find("bridge")
    wanted = {"stp": "on" if fields.get("stp", True) else "off", "delay": str(fields.get("forward_delay", 0))}
    assert kind in ("bridged", "macvtap") or {name: bridge.get(name) for name in wanted} == wanted
    stopped = a.invoke("network_stop", network=network.name)
    assert not stopped.active
    assert a.invoke("network_start", network=network.name).active


def test_a_network_with_vlans_is_for_open_vswitch(a, lan, boot):
    """The kernel here has none: the definition is made, read and changed, and what is put in force on it is refused."""
    groups = [{"name": "office", "vlan": 7, "default": True}, {"name": "guests", "vlan": 8}]
    network = lan("tagged", type="bridged", bridge="ovs0", openvswitch=True, vlan=5, portgroups=groups)
    assert network.native == {"vlan": 5, "openvswitch": True, "portgroups": groups}
    assert network.portgroups == ("office", "guests")
    a.networks.stop(network.name)
    assert a.networks.update(network.name, vlan=6).native == {"vlan": 6, "openvswitch": True, "portgroups": groups}
    a.networks.start(network.name)
    vm = boot(a, "tagged", ticks=0, start=False, nics=[{"network": network.name, "portgroup": "guests"}])
    assert vm.refresh().record.nics[0].portgroup == "guests"
    with pytest.raises(errors.NetworkNotFoundError, match="ovs0") as caught:
        vm.start()
    assert "Open vSwitch" in caught.value.hint
    assert vm.refresh().status == "stopped"
    vm.delete()
    with pytest.raises(errors.UnsupportedOperationError, match="vlan") as caught:
        lan("plain", type="bridged", bridge="guests", vlan=5)
    assert "openvswitch" in caught.value.hint
    with pytest.raises(errors.InvalidSpecError, match="openvswitch"):
        lan("routed", openvswitch=True)


def test_an_update_leaves_alone_what_it_does_not_give(a, lan):
    network = lan(type="isolated", cidr="10.78.5.1/24", dhcp_start="10.78.5.10", dhcp_end="10.78.5.20", mtu=1400)
    a.invoke("network_stop", network=network.name)
    changed = a.invoke("network_update", network=network.name, spec=NetworkSpec(name=network.name, mtu=1300))
    assert changed == network.replace(active=False, native={"mtu": 1300})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"cidr": "10.78.6.129/25"}, "overlaps"),
        ({"cidr": "10.0.0.1/8"}, "overlaps"),
        ({"bridge": "br78"}, "bridge"),
        ({"name": "holder"}, "already there"),
    ],
)
def test_what_is_taken_is_refused_and_nothing_is_left(a, fields, said):
    a.networks.create(name="holder", type="isolated", cidr="10.78.6.1/24", bridge="br78")
    try:
        before = a.networks.list()
        with pytest.raises(errors.AlreadyExistsError, match=said):
            a.networks.create(**({"name": "another", "type": "isolated"} | fields))
        assert a.networks.list() == before
    finally:
        a.networks.delete("holder")


def test_a_network_that_does_not_start_is_forgotten_again(a):
    before = a.networks.list()
    with pytest.raises(errors.NovaCronError) as caught:
        a.networks.create(name="clash", type="isolated", bridge="guests")  # a bridge that the host has already
    assert not isinstance(caught.value, errors.DriverError), caught.value
    assert a.networks.list() == before


# --- packets ---


def pinging(lab, boot, host, network, address, **nic):
    """A guest on a network that pings an address without end."""
    kernel = {"path": str(lab.guest.kernel), "initrd": str(lab.guest.initrd)}
    kernel["command_line"] = f"{lab.guest.command_line} novacron.ping={address}"
    return boot(host, f"on-{network}", ticks=0, kernel=kernel, nics=[{"network": network} | nic])


@pytest.mark.parametrize(
    ("kind", "number", "without_a_way_back", "with_it"),
    [
        ("nat", 1, "answered", "answered"),
        ("routed", 2, "lost", "answered"),
        ("open", 3, "lost", "answered"),
        ("isolated", 4, "lost", "lost"),
    ],
)
def test_a_network_carries_packets_out_as_its_type_says(lab, a, lan, boot, kind, number, without_a_way_back, with_it):
    """To the lab's switch, which first has no way back to the network's addresses: with NAT it needs none."""
    cidr = f"10.79.{number}.0/24"
    network = lan(
        type=kind, cidr=f"10.79.{number}.1/24", dhcp_start=f"10.79.{number}.10", dhcp_end=f"10.79.{number}.99", stp=False
    )
    if kind == "open":
        lab.hosts[0].exec("sysctl", "-w", "net.ipv4.ip_forward=1")  # libvirt leaves an open network's host alone
    vm = pinging(lab, boot, a, network.name, f"10.231.{lab.subnet}.2")
    try:
        vm.console.wait_for(f"NOVACRON ADDRESS 10.79.{number}.", 120)
        heard(vm, without_a_way_back)
        run("ip", "-n", lab.switch, "route", "add", cidr, "via", lab.hosts[0].address)
        heard(vm, with_it)
    finally:
        run("ip", "-n", lab.switch, "route", "del", cidr, check=False)
        vm.delete(force=True)


def test_a_macvtap_network_puts_guests_beside_the_hosts_on_the_wire(lab, a, lan, boot):
    """On a cable of its own to the lab's switch; the host's other one carries its bridge, which excludes macvtap, and is refused."""
    host, port = lab.hosts[0], f"wire-{uuid.uuid4().hex[:4]}"
    run("ip", "-n", lab.switch, "link", "add", port, "type", "veth", "peer", "name", "wire", "netns", host.namespace)
    try:
        run("ip", "-n", lab.switch, "link", "set", port, "master", "switch", "up")
        run("ip", "-n", host.namespace, "link", "set", "wire", "up")
        vm = pinging(lab, boot, a, lan("wire", type="macvtap", device="wire").name, lab.hosts[1].address)
        vm.console.wait_for(f"NOVACRON ADDRESS 10.231.{lab.subnet}.", 120)
        heard(vm, "answered")
        assert vm.refresh().record.nics[0].type == "direct"
        vm.delete(force=True)
        busy = lan("busy", type="macvtap", device="uplink")
        other = boot(a, "busy", ticks=0, start=False, nics=[{"network": busy.name}])
        with pytest.raises(errors.InvalidStateError, match="macvtap") as caught:
            other.start()
        assert "bridge" in caught.value.hint
        other.delete()
    finally:
        run("ip", "-n", lab.switch, "link", "delete", port, check=False)


def test_names_of_a_network_are_answered_and_changed_while_it_is_in_use(a, talking, wait_for_agent):
    network, _, second = talking
    wait_for_agent(second)

    def asked(name):
        said = second.guest.exec("/bin/nslookup", name, "10.77.0.1").stdout.decode()
        return [line.split()[-1] for line in said.splitlines() if line.startswith("Address")][1:]

    for hosts, expected in (
        ([{"address": "10.77.0.11", "names": ["first.lan"]}], ["10.77.0.11"]),
        ([{"address": "10.77.0.12", "names": ["first.lan"]}], ["10.77.0.12"]),
        ([], []),
    ):
        a.networks.update(network.name, dns_hosts=hosts)
        second.console.wait_until(lambda expected=expected: asked("first.lan") == expected, 30, f"{expected} for first.lan")


def test_a_guest_that_takes_anothers_address_is_not_heard(a, talking, wait_for_agent):
    """Anti-spoofing lets out what comes from the NIC's own address alone; without it the same packets are answered."""
    network, _, second = talking
    wait_for_agent(second)
    second.guest.exec("/bin/ip", "addr", "add", "10.77.0.200/24", "dev", "eth0")

    def answered(source):
        return second.guest.exec("/bin/ping", "-c", "1", "-W", "2", "-I", source, "10.77.0.11").exit_status == 0

    own = next(
        word for word in second.guest.exec("/bin/ip", "-4", "-o", "addr", "show", "eth0").stdout.decode().split() if "/24" in word
    )
    own = own.partition("/")[0]
    assert answered(own)
    assert answered("10.77.0.200")
    a.filters.create("honest", anti_spoofing=True)
    try:
        nic_of(second).update(network=network.name, filter="honest")
        heard(second, "answered", times=3)  # libvirt learns the address from what comes first
        second.console.wait_until(lambda: not answered("10.77.0.200"), 60, "the other address unheard")
        assert answered(own)
    finally:
        nic_of(second).update(filter=None)
        a.filters.delete("honest")
    second.guest.exec("/bin/ip", "addr", "del", "10.77.0.200/24", "dev", "eth0")


def test_a_filter_in_the_hypervisors_own_words_is_in_force(a, talking):
    network, first, second = talking
    words = "<filter name='own-words' chain='root'><rule action='drop' direction='in'><icmp type='8'/></rule></filter>"
    a.filters.create("own-words", native=words)
    try:
        nic_of(first).update(network=network.name, filter="own-words")
        heard(second, "lost")
        a.filters.update("own-words", native=words.replace("type='8'", "type='13'"))
        heard(second, "answered")
    finally:
        nic_of(first).update(filter=None)
        a.filters.delete("own-words")


def test_a_cable_is_unplugged_and_plugged_in_again(a, talking):
    _, first, second = talking
    assert not nic_of(first).link(up=False).record.link_up
    first.console.wait_for("=0", 30)
    heard(second, "lost")
    assert nic_of(first).link(up=True).record.link_up
    heard(second, "answered")


def test_a_filter_keeps_packets_out_and_is_changed_while_it_is_in_force(a, talking):
    network, first, second = talking
    deny = {"action": "deny", "direction": "in", "protocol": "icmp"}
    a.invoke("filter_create", spec=TrafficFilterSpec(name="no-ping", rules=[deny]))
    try:
        assert nic_of(first).update(network=network.name, filter="no-ping").record.filter == "no-ping"
        heard(second, "lost")
        with pytest.raises(errors.InvalidStateError, match="first"):
            a.invoke("filter_delete", filter="no-ping")
        a.invoke(
            "filter_update", filter="no-ping", spec=TrafficFilterSpec(name="no-ping", rules=[deny | {"peer": "10.99.0.0/16"}])
        )
        heard(second, "answered")
        a.invoke("filter_update", filter="no-ping", spec=TrafficFilterSpec(name="no-ping", default="deny"))
        heard(second, "lost")
        allow = {"action": "allow", "protocol": "icmp", "peer": "10.77.0.0/24"}
        a.invoke("filter_update", filter="no-ping", spec=TrafficFilterSpec(name="no-ping", rules=[allow], default="deny"))
        heard(second, "answered")
    finally:
        nic_of(first).update(filter=None)
        a.invoke("filter_delete", filter="no-ping")


def test_isolated_guests_reach_the_host_but_not_each_other(lab, a, talking):
    network, first, second = talking
    for vm in (first, second):
        record = vm.refresh().record.nics[0]
        vm.nics.attach(network=network.name, isolated=True)
        vm.nics[record.mac].detach()
    heard(second, "lost")
    assert all(nic.isolated for vm in (first, second) for nic in vm.refresh().record.nics)


def test_a_network_is_changed_while_guests_are_on_it(a, talking):
    """The last of those that share the two guests: what it changes stays changed, and new guests take as long as all the other tests."""
    network, _, second = talking
    changed = a.invoke(
        "network_update",
        network=network.name,
        spec=NetworkSpec(
            name=network.name,
            cidr="10.77.0.1/24",
            dhcp_start="10.77.0.50",
            dhcp_end="10.77.0.99",
            dhcp_hosts=[
                {"mac": "52:54:00:aa:00:01", "address": "10.77.0.11", "hostname": "first"},
                {"mac": "52:54:00:aa:00:09", "address": "10.77.0.19"},
            ],
            dns_hosts=[{"address": "10.77.0.11", "names": ["first.lan"]}],
            portgroups=[{"name": "slow", "vlan": None}],
        ),
    )
    assert changed.dhcp_ranges == (("10.77.0.50", "10.77.0.99"),)
    assert {h["address"] for h in changed.dhcp_hosts} == {"10.77.0.11", "10.77.0.19"}
    assert changed.dns_hosts == ({"address": "10.77.0.11", "names": ["first.lan"]},)
    assert changed.portgroups == ("slow",)
    heard(second, "answered")
    leases = a.networks.leases(network.name)
    assert "10.77.0.11" in [lease.address for lease in leases]
    with pytest.raises(errors.InvalidStateError, match="type") as caught:
        a.invoke("network_update", network=network.name, spec=NetworkSpec(name=network.name, type="nat"))
    assert caught.value.hint
    for operation in ("network_stop", "network_delete"):
        with pytest.raises(errors.InvalidStateError, match="first"):
            a.invoke(operation, network=network.name)
    assert second.nics.attach(network=network.name, portgroup="slow").record.portgroup == "slow"
    heard(second, "answered")


# --- filters ---


def test_rules_are_read_back_as_they_were_given(a):
    rules = (
        {"action": "allow", "direction": "in", "protocol": "tcp", "ports": "22", "peer": "10.0.0.0/8"},
        {"action": "reject", "direction": "out", "protocol": "udp", "ports": "8000-8080", "priority": 100},
        {"action": "deny", "direction": "both", "protocol": "icmp"},
        {"action": "allow", "direction": "in", "protocol": "tcp", "peer": "fd00::/8"},
        {"action": "allow", "direction": "both"},
    )
    try:
        made = a.invoke("filter_create", spec=TrafficFilterSpec(name="mixed", rules=rules, default="deny", anti_spoofing=True))
        assert made.rules == rules
        assert (made.default, made.anti_spoofing) == ("deny", True)
        assert made == a.invoke("filter_get", filter="mixed")
        with pytest.raises(errors.AlreadyExistsError):
            a.invoke("filter_create", spec=TrafficFilterSpec(name="mixed"))
    finally:
        a.invoke("filter_delete", filter="mixed")
    with pytest.raises(errors.TrafficFilterNotFoundError):
        a.invoke("filter_get", filter="mixed")


def test_a_filter_of_the_hypervisors_own_kind_is_kept_as_it_is(a):
    native = (
        "<filter name='x' chain='root'><rule action='drop' direction='out'><mac match='no' srcmacaddr='$MAC'/></rule></filter>"
    )
    try:
        made = a.invoke("filter_create", spec=TrafficFilterSpec(name="own", native=native))
        assert "srcmacaddr" in made.rules[0]["native"]
        changed = a.invoke("filter_update", filter="own", spec=TrafficFilterSpec(name="own", rules=[{"action": "deny"}]))
        assert (changed.id, len(changed.rules)) == (made.id, 1)
    finally:
        a.invoke("filter_delete", filter="own")
    for bad in ("<filter", "<network/>", "<filter><rule action='x'/></filter>"):
        with pytest.raises(errors.InvalidSpecError):
            a.invoke("filter_create", spec=TrafficFilterSpec(name="bad", native=bad))


def test_every_filter_of_libvirts_own_is_read(a):
    found = {f.name: f for f in a.invoke("filter_list")}
    assert found["clean-traffic"].rules or found["clean-traffic"].anti_spoofing is not None
    assert len(found) > 10


OTHERS = {
    "macvtap": "<interface type='direct'><mac address='{mac}'/><source dev='eth9' mode='bridge'/><model type='virtio'/></interface>",
    "user": "<interface type='user'><mac address='{mac}'/><model type='virtio'/></interface>",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_filter_that_libvirt_ignores_is_refused_by_field(lab, lab_hosts, kind):
    """libvirt drops the filter of a NIC that it does not filter, without a word."""
    a, name, mac = lab_hosts[0], f"unfiltered-{kind}", "52:54:00:55:01:02"
    nic = OTHERS[kind].format(mac=mac)
    vm = a.vms.import_definition(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os><devices>{nic}</devices></domain>"
    )
    before = vm.export().text
    with pytest.raises(errors.InvalidSpecError) as caught:
        a.invoke("nic_update", vm=vm.id, nic=mac, spec=NICUpdate(filter="no-mac-spoofing", link_up=False))
    assert caught.value.problems[0].path == "filter"
    assert vm.export().text == before
    vm.delete()
