"""Which VM of another host needs a file of ours: decided by what both hosts report of it."""

from pathlib import Path

import libvirt
import pytest

import novacron
from novacron import errors
from novacron.plugins.driver import NO_ANSWER
from novacron_kvm.storage import other_hosts
from novacron_kvm.storage.host_files import File

INODE = ("0600", "64055", "64055", "8388608", "qcow2")


def file(key="/shared/a.qcow2", mtime="100.5", inode=INODE):
    return File(key, key.rpartition("/")[2], "default", None, inode, ("196624", "196616", mtime, mtime))


class Domain:
    def __init__(self, name, active=True):
        self._name, self._active = name, active

    def name(self):
        return self._name

    def isActive(self):
        return self._active


class Connection:
    def __init__(self, domains):
        self.domains = domains

    def listAllDomains(self, flags):
        return [domain for domain in self.domains if domain.isActive() or not flags]


@pytest.fixture
def users(monkeypatch):
    """Return a function that says who needs our file, on a host whose VM "w" uses another."""

    def find(ours, theirs, *, key="/shared/a.qcow2", active=True, only_running=False):
        class Files:
            def __init__(self, conn):
                pass

            def look_for_parts(self, paths):
                assert list(paths) == ["/shared/a.qcow2"]

            def used_by(self, domain):
                return {theirs.key if theirs else key}

            def key(self, path):
                return path

            def file(self, path):
                return theirs

        monkeypatch.setattr(other_hosts, "HostFiles", Files)
        connection = Connection([Domain("w", active)])
        found = other_hosts.find_users(connection, {"/shared/a.qcow2": ("/shared/a.qcow2", ours)}, only_running=only_running)
        return [(user.vm, user.running) for user in found]

    return find


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (file(), True),
        (file("/mnt/elsewhere/a.qcow2"), True),  # the same storage, mounted at another path
        (file(mtime="131"), True),  # somebody writes, or the network file system caches
        (file(mtime="161"), False),  # local storage with the same path
        (file("/mnt/elsewhere/a.qcow2", mtime="101"), False),
        (file(inode=(*INODE[:3], "9000000", "qcow2")), False),
        (None, True),  # nothing is known of it but its path
    ],
)
def test_a_file_is_recognised(users, theirs, same):
    assert users(file(), theirs) == ([("w", True)] if same else [])


def test_a_file_without_times_is_recognised_by_its_path_only(users):
    unknown = file()._replace(changes=(None, None, None, None))
    assert users(unknown, unknown._replace(key="/mnt/b")) == []
    assert users(None, None, key="/other") == []


def test_stopped_vms_do_not_count_where_only_running_ones_matter(users):
    assert users(file(), file(), active=False) == [("w", False)]
    assert users(file(), file(), active=False, only_running=True) == []


DISK = "<disk type='{type}' device='{device}'>{source}<target dev='{target}' bus='ide'/>{more}</disk>"
DOMAIN = (
    "<domain type='test'><name>{name}</name><memory>1024</memory><os><type>hvm</type></os><devices>{devices}</devices></domain>"
)


def definition(name, source, *, type="file", device="disk", more="", target="hda"):
    return DOMAIN.format(name=name, devices=DISK.format(type=type, device=device, source=source, more=more, target=target))


FILE = "<source file='/images/a.img'/>"
RBD = "<source protocol='rbd' name='pool/image'><host name='ceph.example' port='6789'/></source>"


@pytest.fixture
def host():
    with novacron.connect(f"test://{Path(__file__).parents[1] / 'node.xml'}") as connected:
        yield connected


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"source": FILE}, {"source": FILE}),
        ({"source": "<source file='/images//./x/../a.img'/>"}, {"source": FILE}),
        ({"source": RBD, "type": "network"}, {"source": RBD, "type": "network"}),
        (
            {"source": "<source dev='/dev/vg/a'/>", "type": "block"},
            {"source": "<source dev='/dev/mapper/vg-a'/>", "type": "block"},
        ),
        ({"source": FILE}, {"source": FILE, "more": "<shareable/>"}),
    ],
    ids=["file", "another spelling", "network", "logical volume", "shared by the other VM only"],
)
def test_an_import_with_another_vms_disk_is_refused(host, ours, theirs):
    host.vms.import_definition(definition("first", **theirs))
    with pytest.raises(errors.DiskLockedError, match="'first'"):
        host.vms.import_definition(definition("second", **ours))
    assert "second" not in host.vms
    host.vms["first"].delete()
    assert host.vms.import_definition(definition("second", **ours)).name == "second"


@pytest.mark.parametrize(
    "ours",
    [
        {"source": FILE, "more": "<shareable/>"},
        {"source": FILE, "more": "<readonly/>"},
        {"source": FILE, "device": "cdrom", "target": "hdc"},
        {"source": "", "device": "cdrom", "target": "hdc"},
        {"source": "<source file='/images/b.img'/>"},
        {"source": RBD.replace("image", "other"), "type": "network"},
    ],
    ids=["shareable", "read-only", "medium", "empty drive", "another file", "another image"],
)
def test_an_import_that_takes_nothing_from_another_vm_is_accepted(host, ours):
    host.vms.import_definition(definition("first", FILE))
    host.vms.import_definition(definition("network", RBD, type="network"))
    gone = host.vms.import_definition(definition("second", **ours)).delete()
    assert len(gone.removed) == 1


def test_looking_for_users_on_other_hosts_reads_each_host_s_identity_once(host, monkeypatch):
    connection = host.dispatcher.driver.native
    read, real = [], libvirt.virConnect.getCapabilities
    with novacron.connect("test:///default") as other:
        peer = other.dispatcher.driver.native
        for each in (connection, peer):
            monkeypatch.setattr(each, "shared", True)
        monkeypatch.setattr(connection, "ask_peers", lambda ask: [("other", ask(peer))])
        monkeypatch.setattr(libvirt.virConnect, "getCapabilities", lambda conn: read.append(conn) or real(conn))
        for path in ("/images/a.img", "/images/b.img"):
            other_hosts.users_elsewhere(connection, connection.read, [path])
        assert sorted(map(id, read)) == sorted(map(id, (connection.read, peer.read)))


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets a method of libvirt fail with an error code."""

    def fail(of, method, code):
        def call(*arguments):
            error = libvirt.libvirtError(method)
            error.err = (code, 0, method, 2, None, None, None, -1, -1)
            raise error

        monkeypatch.setattr(of, method, call)

    return fail


@pytest.mark.parametrize("method", ["XMLDesc", "listAllSnapshots"])
def test_a_host_that_is_lost_while_it_tells_its_users_has_not_answered(host, failing, method):
    """If it counted as one whose VMs use nothing, a file that they need would be deleted."""
    host.vms.import_definition(definition("first", FILE))
    connection = host.dispatcher.driver.native.read
    wanted = {"/images/a.img": ("/images/a.img", None)}
    assert [user.vm for user in other_hosts.find_users(connection, wanted)] == ["first"]
    failing(libvirt.virDomain, method, libvirt.VIR_ERR_SYSTEM_ERROR)
    with pytest.raises(libvirt.libvirtError):
        other_hosts.find_users(connection, wanted)


@pytest.mark.parametrize(
    ("of", "method", "code", "found"),
    [
        (libvirt.virDomain, "XMLDesc", libvirt.VIR_ERR_NO_DOMAIN, []),
        (libvirt.virDomain, "listAllSnapshots", libvirt.VIR_ERR_NO_SUPPORT, ["first"]),
        (libvirt.virDomainSnapshot, "getXMLDesc", libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT, ["first"]),
    ],
    ids=["VM deleted", "no snapshots", "snapshot deleted"],
)
def test_what_is_deleted_meanwhile_is_passed_over(host, failing, of, method, code, found):
    vm = host.vms.import_definition(definition("first", FILE))
    connection = host.dispatcher.driver.native.read
    connection.lookupByName(vm.name).snapshotCreateXML("<domainsnapshot/>")
    failing(of, method, code)
    assert [user.vm for user in other_hosts.find_users(connection, {"/images/a.img": ("/images/a.img", None)})] == found


def test_a_host_that_does_not_answer_may_need_each_file_and_is_no_user_of_one(host, monkeypatch):
    connection = host.dispatcher.driver.native
    monkeypatch.setattr(connection, "shared", True)
    monkeypatch.setattr(connection, "ask_peers", lambda ask: [("other", NO_ANSWER)])
    paths = {"/images/a.img", "/images/b.img"}
    assert other_hosts.may_be_needed_elsewhere(connection, connection.read, paths) == paths
    assert other_hosts.users_elsewhere(connection, connection.read, paths) == {}
    other_hosts.refuse_identity_elsewhere(connection, "5537b53e-ed38-4293-aaba-11d3c88e94b2")


def test_a_host_without_others_reads_no_storage_pool_to_learn_who_else_needs_a_file(host, monkeypatch):
    connection = host.dispatcher.driver.native
    monkeypatch.setattr(connection, "shared", True)
    monkeypatch.setattr(other_hosts, "HostFiles", lambda conn: pytest.fail("all volumes are read"))
    for peers in ([], [("this host under another name", connection)]):
        monkeypatch.setattr(connection, "ask_peers", lambda ask, peers=peers: [(name, ask(peer)) for name, peer in peers])
        assert other_hosts.users_elsewhere(connection, connection.read, ["/images/a.img"]) == {}
        assert not other_hosts.may_be_needed_elsewhere(connection, connection.read, ["/images/a.img"])
