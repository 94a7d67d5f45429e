"""NICs on a real host: plugged in and out, limited, changed; what another tool wrote stays."""

import itertools
import uuid

import libvirt
import pytest
from lxml import etree

from novacron import errors
from novacron.specs import NICUpdate

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def a(lab_hosts):
    return lab_hosts[0]


def nic_of(vm):
    return next(iter(vm.nics))


# --- NICs ---


def test_a_nic_is_plugged_in_and_out_and_the_guest_sees_it(a, boot):
    vm = boot(a, "nics", ticks=2)
    nic = vm.nics.attach(network="default", mtu=1400)
    assert nic.record.mac.startswith("52:54:00:")
    assert nic.record.mtu == 1400
    vm.console.wait_for(nic.record.mac)
    at = len(vm.console.text)
    nic.detach()
    vm.console.wait_until(
        lambda: "NOVACRON DEVICES" in (new := vm.console.text[at:]) and nic.record.mac not in new, 40, "NIC gone"
    )
    assert vm.refresh().record.nics == ()
    vm.stop()
    assert vm.refresh().record.nics == ()
    kept = vm.nics.attach(network="default", mac="52:54:00:BB:00:01").record
    assert kept.mac == "52:54:00:bb:00:01"
    other = boot(a, "nics-too", ticks=0, start=False)
    with pytest.raises(errors.AlreadyExistsError, match="nics"):
        other.nics.attach(network="default", mac=kept.mac)


def test_no_two_hosts_give_one_mac_address(lab_hosts, boot, monkeypatch):
    """Both draw the same addresses; whoever comes second draws again, at a creation, a plugging in and a clone."""
    drawn = itertools.chain.from_iterable(
        itertools.repeat(f"52:54:00:{uuid.uuid4().hex[:2]}:00:{n:02x}", 3) for n in itertools.count()
    )
    monkeypatch.setattr("novacron.macs.candidate", lambda: next(drawn))
    made = [boot(host, f"drawn-{host.name}", ticks=0, start=False, nics=[{"network": "default"}]) for host in lab_hosts]
    for vm in made:
        vm.nics.attach(network="default")
    copy = made[0].clone("drawn-copy")
    try:
        given = [nic.mac for vm in (*made, copy) for nic in vm.refresh().record.nics]
        assert len(set(given)) == len(given) == 6
    finally:
        copy.delete()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"network": "nope"}, errors.NetworkNotFoundError),
        ({"network": "default", "portgroup": "nope"}, errors.InvalidSpecError),
        ({"network": "default", "filter": "nope"}, errors.TrafficFilterNotFoundError),
        ({"bridge": "nope"}, errors.NetworkNotFoundError),
    ],
)
def test_a_nic_on_what_is_not_there_is_refused(a, boot, fields, error):
    vm = boot(a, "nowhere", ticks=0, kernel=None)
    with pytest.raises(error) as caught:
        vm.nics.attach(**fields)
    assert caught.value.hint
    assert vm.refresh().record.nics == ()


def test_limits_of_a_nic_are_in_force_or_refused_with_the_reason(lab, a, boot):
    """The kernel has to have the queueing disciplines that libvirt uses; where it lacks them nothing may have changed."""
    tc = (
        "ip link add q0 type dummy && tc qdisc add dev q0 root handle 1: htb && tc qdisc add dev q0 root handle 2: sfq perturb 10"
    )
    able = lab.hosts[0].exec("sh", "-c", f"{tc}; found=$?; ip link delete q0; exit $found").returncode == 0
    vm = boot(a, "qos", ticks=0, kernel=None, nics=[{"network": "default"}])
    limits = {"inbound_bytes_per_second": 2 * 2**20, "outbound_bytes_per_second": 2**20}
    before = vm.refresh().record.nics[0]
    if able:
        record = nic_of(vm).update(network="default", **limits).record
        assert (record.inbound_bytes_per_second, record.outbound_bytes_per_second) == (2 * 2**20, 2**20)
        assert "2048" in lab.hosts[0].exec("virsh", "domiftune", vm.name, record.mac).stdout
    else:
        with pytest.raises(errors.UnsupportedOperationError, match="qdisc") as caught:
            nic_of(vm).update(network="default", **limits)
        assert "kernel" in caught.value.hint
        assert vm.refresh().record.nics[0] == before
    vm.stop()
    record = nic_of(vm).update(network="default", **limits).record
    assert (record.inbound_bytes_per_second, record.outbound_bytes_per_second) == (2 * 2**20, 2**20)
    with pytest.raises(errors.InvalidSpecError, match="MAC"):
        a.invoke("nic_update", vm=vm.id, nic=record.mac, spec=NICUpdate(network="default", mac="52:54:00:cc:00:01"))


FOREIGN = {
    "limits of both directions": (
        "<interface type='network'><mac address='52:54:00:1c:00:01'/><source network='default'/><model type='virtio'/>"
        "<bandwidth><inbound average='1000' peak='2000' burst='512'/><outbound average='500'/></bandwidth></interface>",
        {"outbound_bytes_per_second": 2**20},
        {"bandwidth/outbound/@average": "1024"},
    ),
    "a port group": (
        "<interface type='network'><mac address='52:54:00:1c:00:01'/><source network='{network}' portgroup='web'/>"
        "<model type='virtio'/></interface>",
        {"network": "{network}", "mtu": 1300},
        {"mtu/@size": "1300"},
    ),
    "macvtap passthrough": (
        "<interface type='direct'><mac address='52:54:00:1c:00:01'/><source dev='eth0' mode='passthrough'/><model type='virtio'/>"
        "<virtualport type='802.1Qbh'><parameters profileid='p1'/></virtualport></interface>",
        {"device": "eth0", "link_up": False},
        {"link/@state": "down"},
    ),
    "a trunk": (
        "<interface type='bridge'><mac address='52:54:00:1c:00:01'/><source bridge='ovs0'/><virtualport type='openvswitch'/>"
        "<vlan trunk='yes'><tag id='5'/><tag id='6' nativeMode='untagged'/></vlan><model type='virtio'/></interface>",
        {"mtu": 1300},
        {"mtu/@size": "1300"},
    ),
    "another model": (
        "<interface type='user'><mac address='52:54:00:1c:00:01'/><model type='e1000'/><tune><sndbuf>0</sndbuf></tune></interface>",
        {"model": "virtio", "queues": 2},
        {"model/@type": "virtio", "driver/@queues": "2"},
    ),
}


@pytest.fixture
def foreign_nic(lab, a, lan, request):
    """Return a function that defines a VM with one NIC as another tool wrote it, and one that returns the NIC's element now."""
    raw = libvirt.open(lab.hosts[0].uri)
    domains = []

    def define(text, *, running=False):
        domain = raw.defineXML(
            f"<domain type='qemu'><name>nic-{uuid.uuid4().hex[:6]}</name><memory unit='MiB'>32</memory><os><type>hvm</type></os>"
            f"<devices>{text}</devices></domain>"
        )
        domains.append(domain)
        if running:
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        return a.vms[domain.UUIDString()], lambda flags=libvirt.VIR_DOMAIN_XML_INACTIVE: etree.fromstring(
            domain.XMLDesc(flags)
        ).find("devices/interface")

    yield define
    for domain in domains:
        if domain.isActive():
            domain.destroy()
        domain.undefine()
    raw.close()


@pytest.mark.parametrize("case", FOREIGN)
def test_a_nic_update_changes_what_is_asked_and_needs_only_that(lan, foreign_nic, case):
    text, changes, asked = FOREIGN[case]
    network = lan(type="isolated", portgroups=[{"name": "web"}]).name if "{network}" in text else ""
    vm, now = foreign_nic(text.format(network=network))
    before = now()
    nic_of(vm).update(
        **{name: value.format(network=network) if isinstance(value, str) else value for name, value in changes.items()}
    )
    after = now()
    for path, value in asked.items():
        path, _, attribute = path.partition("/@")
        assert after.find(path).get(attribute) == value
    for element in (before, after):  # everything else is as it was
        for path in asked:
            path, _, attribute = path.partition("/@")
            found = element.find(path)
            if found is not None:
                found.attrib.pop(attribute, None)
                if not len(found.attrib) and not len(found):
                    found.getparent().remove(found)
    assert etree.tostring(after, method="c14n2", strip_text=True) == etree.tostring(before, method="c14n2", strip_text=True)


def test_a_running_nic_stays_on_its_network_that_forwards_to_a_bridge(lab, a, lan, foreign_nic):
    host = lab.hosts[0]
    host.exec("ip", "link", "add", "fwd0", "type", "bridge")
    host.exec("ip", "link", "set", "fwd0", "up")
    try:
        network = lan(type="bridged", bridge="fwd0", portgroups=[{"name": "web"}])
        vm, now = foreign_nic(
            f"<interface type='network'><source network='{network.name}' portgroup='web'/><model type='virtio'/></interface>",
            running=True,
        )
        assert now(0).get("type") == "bridge"
        assert nic_of(vm).link(up=False).record.link_up is False
        nic_of(vm).update(link_up=True)
        source = now(0).find("source")
        assert (source.get("network"), source.get("portgroup"), source.get("bridge")) == (network.name, "web", "fwd0")
        with pytest.raises(errors.InvalidStateError, match=vm.name):
            a.networks.stop(network.name)
        with pytest.raises(errors.InvalidStateError, match="model"):
            nic_of(vm).update(model="e1000")
        assert nic_of(vm).update(bridge="guests").record.network == "guests"
        assert nic_of(vm).update(network=network.name).record.network == network.name
        assert now(0).find("source").get("bridge") == "fwd0"
        vm.stop()
    finally:
        host.exec("ip", "link", "delete", "fwd0")


def test_a_boot_order_that_another_device_has_is_taken(lab_hosts):
    a = lab_hosts[0]
    vm = a.vms.create(name="order", memory="32MiB", nics=[{"network": "default", "boot_order": 1}, {"network": "default"}])
    second = vm.refresh().record.nics[1].mac
    with pytest.raises(errors.AlreadyExistsError, match="boot order 1 is already used") as caught:
        a.invoke("nic_update", vm=vm.id, nic=second, spec=NICUpdate(boot_order=1))
    assert "give a free one" in caught.value.hint
    assert vm.export().text.count("<boot order=") == 1
    vm.delete()
