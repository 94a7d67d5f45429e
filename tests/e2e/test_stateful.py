"""Real VMs on two real hosts against a small model, driven by chance; after each step libvirt itself is asked, not NovaCron."""

import json
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

import libvirt
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from lxml import etree

import novacron
from novacron import errors

pytestmark = [pytest.mark.lab, pytest.mark.timeout(4 * 3600)]

MIB = 2**20
NAMES = ("web", "db", "mail", "log")
ACTIVE = ("running", "suspended")
KINDS = ("internal", "external")
CREATED = ("running", "stopped", "broken")
POWER = {
    "start": (("stopped", "saved"), "running"),
    "stop": (ACTIVE, "stopped"),
    "suspend": (ACTIVE, "suspended"),
    "resume": (ACTIVE, "running"),
    "save": (ACTIVE, "saved"),
    "restore": (("saved",), "running"),
    "reset": (("running",), "running"),
}
"""The statuses that allow an operation, and the one after it; what was saved goes on as it was."""
ONE = st.integers(0, 11)
STATUS = {libvirt.VIR_DOMAIN_RUNNING: "running", libvirt.VIR_DOMAIN_PAUSED: "suspended", libvirt.VIR_DOMAIN_SHUTOFF: "stopped"}


@dataclass
class Config:
    """What a snapshot brings back: disks are target: bytes, NICs are MAC addresses."""

    vcpus: int
    memory: int
    disks: dict
    nics: frozenset = frozenset()
    description: str = ""

    def copy(self):
        return replace(self, disks=dict(self.disks))


@dataclass
class Expected:
    """What the model knows of a VM; snapshots are name: (parent, status, config)."""

    name: str
    host: int
    kind: str
    config: Config
    status: str
    saved: str = ""
    arrived: bool = False  # when it was suspended, and it has not run here yet
    written: bool = False  # its memory, while it was suspended: QEMU can't do that again before it has run
    tags: frozenset = frozenset()
    autostart: bool = False
    snapshots: dict = field(default_factory=dict)
    current: str | None = None

    @property
    def stuck(self):
        """Whether its memory can't be written before it has run."""
        return self.written or self.arrived


class RealHosts(RuleBasedStateMachine):
    """Each rule asks NovaCron for one operation and says what must come of it."""

    hosts = raw = None  # what the test sets
    under_way = False

    @initialize()
    def begin(self):
        type(self).under_way = True
        self.model, self.given_away = {}, set()
        self.others = {v.findtext("target/path") for v in self.volumes()}

    def teardown(self):
        type(self).under_way = False
        for identity, expected in getattr(self, "model", {}).items():
            self.hosts[expected.host].vms[identity].delete(force=True)

    def chosen(self, number):
        """Return the identity of a VM, the model's knowledge of it, and its handle."""
        identity = sorted(self.model, key=lambda i: self.model[i].name)[number % len(self.model)]
        expected = self.model[identity]
        return identity, expected, self.hosts[expected.host].vms[identity]

    def free(self, number):
        """Return a name that no VM has, or None."""
        names = [n for n in NAMES if n not in {e.name for e in self.model.values()}]
        return names[number % len(names)] if names else None

    @rule(name=st.sampled_from(NAMES), host=st.integers(0, 1), kind=st.sampled_from(KINDS), status=st.sampled_from([*CREATED]))
    def create(self, name, host, kind, status):
        there = next((e for e in self.model.values() if e.name == name), None)
        fields = {"disks": [{"size": "4MiB"}], "memory": "32MiB", "machine": "q35"}
        broken = status == "broken" and there is None
        fields |= {"start": status == "running", "nics": [{"network": "nowhere"}] if broken else []}
        try:
            vm = self.hosts[there.host if there else host].vms.create(name=name, **fields)
        except errors.AlreadyExistsError:
            assert there is not None
        except errors.NetworkNotFoundError:
            assert broken
        else:
            assert there is None
            assert not broken
            self.model[vm.id] = Expected(name, host, kind, Config(1, 32 * MIB, {"vda": 4 * MIB}), vm.status)
            assert vm.status == status

    @precondition(lambda self: self.model)
    @rule(vm=ONE, action=st.sampled_from([*POWER]))
    def power(self, vm, action):
        self.ask(vm, action)

    @precondition(lambda self: self.model)
    @rule(vm=ONE)
    def start(self, vm):
        self.ask(vm, "start")

    @precondition(lambda self: self.model)
    @rule(vm=ONE, action=st.sampled_from(["suspend", "resume", "save", "restore"]))
    def halt(self, vm, action):
        self.ask(vm, action)

    def ask(self, vm, action):
        _, expected, handle = self.chosen(vm)
        allowed, after = POWER[action]
        if action in ("start", "restore") and expected.status == "saved":
            after = expected.saved
        try:
            assert getattr(handle, action)().status == after
        except errors.InvalidStateError:
            assert expected.status not in allowed or (expected.stuck and action == "save")
        else:
            assert expected.status in allowed
            assert not (expected.stuck and action == "save")
            expected.saved, expected.status = expected.status, after
            expected.written = expected.written and after == "suspended"
            expected.arrived = expected.arrived and after == "suspended"

    @precondition(lambda self: self.model)
    @rule(vm=ONE, name=st.sampled_from(NAMES))
    def rename(self, vm, name):
        _, expected, handle = self.chosen(vm)
        taken = any(e.name == name and e.host == expected.host for e in self.model.values())
        if not taken and any(e.name == name for e in self.model.values()):
            return  # the other host's: their disks are in one folder
        try:
            assert handle.rename(name).name == name
        except errors.AlreadyExistsError:
            assert taken
        except errors.InvalidStateError:
            assert expected.status != "stopped" or expected.snapshots
        else:
            assert expected.status == "stopped"
            assert not expected.snapshots
            assert not taken
            expected.name = name

    @precondition(lambda self: self.model)
    @rule(
        vm=ONE,
        what=st.sampled_from(["description", "tags", "autostart", "vcpus", "memory"]),
        value=st.integers(1, 3),
    )
    def update(self, vm, what, value):
        _, expected, handle = self.chosen(vm)
        if what in ("vcpus", "memory"):
            if expected.status != "stopped":
                return  # what a running guest takes over is a matter of the guest
            setattr(expected.config, what, {"vcpus": value, "memory": (24 + 8 * value) * MIB}[what])
            handle.update(**{what: getattr(expected.config, what)})
        elif what == "description":
            expected.config.description = f"the {value}."
            assert handle.update(description=expected.config.description).record.description == f"the {value}."
        else:
            setattr(expected, what, {"tags": frozenset({f"t{value}"}), "autostart": value > 1}[what])
            handle.update(**{what: getattr(expected, what)})

    @precondition(lambda self: self.model)
    @rule(vm=ONE, size=st.integers(1, 3))
    def attach_disk(self, vm, size):
        _, expected, handle = self.chosen(vm)
        if len(expected.config.disks) > 3:
            return
        try:
            disk = handle.disks.attach(size=f"{size}MiB", bus="scsi").record
        except errors.InvalidStateError:
            assert expected.status == "saved"
        else:
            assert expected.status != "saved"
            assert disk.size_bytes == size * MIB
            expected.config.disks[disk.target] = size * MIB

    @precondition(lambda self: self.model)
    @rule(vm=ONE, delete=st.booleans())
    def detach_disk(self, vm, delete):
        _, expected, handle = self.chosen(vm)
        targets = sorted(t for t in expected.config.disks if t != "vda")
        if not targets:
            return
        path = handle.disks[targets[0]].record.source
        needed = delete and (expected.snapshots or self.backs(path))
        try:
            handle.disks[targets[0]].detach(delete=delete)
        except errors.InvalidStateError:
            assert expected.status in ("saved", "suspended") or needed
        else:
            assert expected.status in ("stopped", "running")
            assert not needed
            del expected.config.disks[targets[0]]
            if not delete:
                self.given_away.add(path)

    def backs(self, path):
        """Whether an image is above this one."""
        return any(path == text for volume in self.volumes() for text in [volume.findtext("backingStore/path")])

    @precondition(lambda self: self.model)
    @rule(vm=ONE, disk=ONE, size=st.integers(1, 9))
    def resize_disk(self, vm, disk, size):
        _, expected, handle = self.chosen(vm)
        target = sorted(expected.config.disks)[disk % len(expected.config.disks)]
        try:
            assert handle.disks[target].resize(size * MIB).record.size_bytes == size * MIB
        except errors.InvalidStateError:
            assert expected.status == "saved" or expected.arrived
        except errors.InvalidSpecError:
            assert size * MIB < expected.config.disks[target]
        else:
            assert expected.status != "saved"
            assert size * MIB == expected.config.disks[target] or not expected.arrived
            assert size * MIB >= expected.config.disks[target]
            expected.config.disks[target] = size * MIB

    @precondition(lambda self: self.model)
    @rule(vm=ONE, attach=st.booleans())
    def nic(self, vm, attach):
        _, expected, handle = self.chosen(vm)
        config = expected.config
        if attach and len(config.nics) < 3:
            change = lambda: {*config.nics, handle.nics.attach(network="default").record.mac}  # noqa: E731
            allowed = expected.status != "saved"
        elif not attach and config.nics and expected.status != "running":  # a running guest has to help
            mac = min(config.nics)
            change = lambda: handle.nics[mac].detach() and config.nics - {mac}  # noqa: E731
            allowed = expected.status == "stopped"
        else:
            return
        try:
            config.nics = frozenset(change())
        except errors.InvalidStateError:
            assert not allowed
        else:
            assert allowed

    @precondition(lambda self: self.model)
    @rule(vm=ONE, name=st.sampled_from(["one", "two", "three"]))
    def snapshot(self, vm, name):
        _, expected, handle = self.chosen(vm)
        try:
            handle.snapshots.create(name, kind=expected.kind)
        except errors.AlreadyExistsError:
            assert name in expected.snapshots
        except errors.InvalidStateError:
            assert expected.status == "saved" or expected.stuck
        else:
            assert name not in expected.snapshots
            assert expected.status != "saved"
            assert not expected.stuck
            expected.snapshots[name] = (expected.current, expected.status, expected.config.copy(), self.files(handle.id))
            expected.current = name
            expected.written = (expected.kind, expected.status) == ("external", "suspended")

    @precondition(lambda self: any(e.snapshots for e in self.model.values()))
    @rule(vm=ONE, name=ONE)
    def revert(self, vm, name):
        _, expected, handle = self.chosen(vm)
        if expected.snapshots:
            found = sorted(expected.snapshots)[name % len(expected.snapshots)]
            assert handle.snapshots[found].revert().status == expected.snapshots[found][1]
            _, expected.status, config, _ = expected.snapshots[found]
            expected.config, expected.current, expected.written = config.copy(), found, False
            expected.arrived = False

    @precondition(lambda self: any(e.snapshots for e in self.model.values()))
    @rule(vm=ONE, name=ONE, children=st.booleans())
    def delete_snapshot(self, vm, name, children):
        _, expected, handle = self.chosen(vm)
        if not expected.snapshots:
            return
        found = sorted(expected.snapshots)[name % len(expected.snapshots)]
        parent, going = expected.snapshots[found][0], {found}
        while children and (more := {n for n, s in expected.snapshots.items() if s[0] in going} - going):
            going |= more
        if expected.kind == "external":
            allowed = expected.status != "saved"
        else:
            now = self.files(handle.id).items()
            allowed = expected.status not in ACTIVE or all(expected.snapshots[n][3].items() <= now for n in going)
        try:
            handle.snapshots[found].delete(children=children)
        except errors.InvalidStateError:
            assert not allowed
            return
        assert allowed
        expected.snapshots = {
            n: (parent if s[0] in going else s[0], *s[1:]) for n, s in expected.snapshots.items() if n not in going
        }
        expected.current = parent if expected.current in going else expected.current

    @precondition(lambda self: 0 < len(self.model) < len(NAMES))
    @rule(vm=ONE, name=ONE, linked=st.booleans())
    def clone(self, vm, name, linked):
        _, expected, handle = self.chosen(vm)
        name = self.free(name)
        try:
            copy = handle.clone(name, linked=linked)
        except errors.InvalidStateError:
            assert expected.status != "stopped" or (linked and expected.snapshots)
        else:
            assert expected.status == "stopped"
            config = expected.config.copy()
            config.nics = frozenset(nic.mac for nic in copy.record.nics)
            assert len(config.nics) == len(expected.config.nics)
            assert not config.nics & expected.config.nics
            self.model[copy.id] = Expected(name, expected.host, expected.kind, config, "stopped", tags=expected.tags)

    @precondition(lambda self: self.model)
    @rule(vm=ONE, live=st.booleans(), peer_to_peer=st.booleans())
    def migrate(self, vm, live, peer_to_peer):
        _, expected, handle = self.chosen(vm)
        there = 1 - expected.host
        try:
            moved = handle.migrate(self.hosts[there], live=live, peer_to_peer=peer_to_peer or expected.status == "stopped")
        except errors.MigrationCheckError:
            assert expected.status == "saved"
        except errors.InvalidStateError:
            assert expected.stuck
        else:
            assert expected.status != "saved"
            assert not expected.stuck
            assert moved.status == expected.status
            expected.host, expected.arrived = there, expected.status == "suspended"

    @precondition(lambda self: self.model)
    @rule(vm=ONE, force=st.booleans())
    def delete(self, vm, force):
        identity, expected, handle = self.chosen(vm)
        try:
            handle.delete(force=force)
        except errors.InvalidStateError:
            assert expected.status in ACTIVE
            assert not force
        else:
            assert force or expected.status not in ACTIVE
            del self.model[identity]

    def files(self, identity):
        """Return {target: file} of a VM's disks, of libvirt."""
        domain = self.raw[self.model[identity].host].lookupByUUIDString(identity)
        root = etree.fromstring(domain.XMLDesc(0))
        return {e.find("target").get("dev"): e.find("source").get("file") for e in root.iterfind("devices/disk")}

    def volumes(self):
        pool = self.raw[0].storagePoolLookupByName("default")
        pool.refresh()
        return [etree.fromstring(volume.XMLDesc(0)) for volume in pool.listAllVolumes()]

    @invariant()
    def libvirt_says_the_same(self):
        found = {(d.UUIDString(), number): d for number, raw in enumerate(self.raw) for d in raw.listAllDomains()}
        assert set(found) == {(identity, e.host) for identity, e in self.model.items()}
        made = set()
        for (identity, _), domain in found.items():
            expected = self.model[identity]
            saved = bool(domain.hasManagedSaveImage())
            root = etree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
            own = json.loads(root.findtext("metadata/{*}vm") or "{}")
            disks = [e.find("target").get("dev") for e in root.iterfind("devices/disk")]
            made |= {*own.get("made", ())}
            seen = (
                domain.name(),
                "saved" if saved and not domain.isActive() else STATUS[domain.state()[0]],
                saved,
                domain.isPersistent(),
                bool(domain.autostart()),
                frozenset(own.get("tags", ())),
            )
            assert seen == (
                expected.name,
                expected.status,
                expected.status == "saved",
                1,
                expected.autostart,
                expected.tags,
            )
            config = Config(
                int(root.find("vcpu").get("current", root.findtext("vcpu"))),
                int(root.findtext("memory")) * 1024,
                {target: domain.blockInfo(target)[0] for target in disks},
                frozenset(e.get("address") for e in root.iterfind("devices/interface/mac")),
                root.findtext("description") or "",
            )
            assert config == expected.config
            if domain.isActive():
                live = etree.fromstring(domain.XMLDesc(0))
                assert {e.get("dev") for e in live.iterfind("devices/disk/target")} == set(expected.config.disks)
                assert {e.get("address") for e in live.iterfind("devices/interface/mac")} == expected.config.nics
            snapshots = {s.getName(): etree.fromstring(s.getXMLDesc(0)) for s in domain.listAllSnapshots()}
            parents = {name: snapshot.findtext("parent/name") for name, snapshot in snapshots.items()}
            assert parents == {name: s[0] for name, s in expected.snapshots.items()}
            assert [s.getName() for s in domain.listAllSnapshots() if s.isCurrent()] == [n for n in (expected.current,) if n]
        there = {v.findtext("target/path") for v in self.volumes()} - self.others
        assert there - self.given_away == made - self.given_away, "files that belong to no VM, or VMs without their files"


class Counting:
    """A policy that counts the changes: those that were carried out, and those that were refused."""

    stage = "access"

    def __init__(self, machine):
        self.machine, self.done, self.refused = machine, Counter(), Counter()

    def applies(self, operation):
        return not operation.reads

    def __call__(self, call, proceed):
        counter = self.refused
        try:
            result = proceed(call)
            counter = self.done
            return result
        finally:
            if self.machine.under_way:
                counter.update([call.operation.name])


@pytest.mark.parametrize("turn", [1, 2])
def test_what_libvirt_has_is_what_the_model_says_after_each_operation(lab, sample, turn):
    """Counted are the changes that were carried out; those that are refused, as they must be, come on top."""
    machine = type("Machine", (RealHosts,), {})
    counting, began = Counting(machine), time.monotonic()
    with ExitStack() as connections:
        machine.raw = [libvirt.open(host.uri) for host in lab.hosts]
        for raw in machine.raw:
            connections.callback(raw.close)
        machine.hosts = [
            connections.enter_context(closing(novacron.connect(host.uri, name=host.name, policies=[counting])))
            for host in lab.hosts
        ]
        rounds = 0
        while counting.done.total() < sample(40, 1000):
            rounds += 1
            assert rounds <= sample(20, 100), f"too few operations are carried out: {counting.done}"
            run_state_machine_as_test(
                seed(1000 * turn + rounds)(machine),
                settings=settings(
                    max_examples=sample(4, 8),
                    stateful_step_count=sample(20, 50),
                    deadline=None,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
    print(
        f"{counting.done.total()} operations and {counting.refused.total()} refusals in {time.monotonic() - began:.0f} s: "
        f"{dict(counting.done.most_common())}"
    )
