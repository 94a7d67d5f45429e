"""Two simulated hosts against a tiny model, driven by chance."""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import novacron
from novacron import errors
from novacron.drivers import sim

NAMES = st.sampled_from(["web", "db", "mail"])
HOSTS = ("left", "right")


class Expected:
    """What the model knows of a VM: snapshots are name: (parent, status, number of disks)."""

    def __init__(self, host, disks):
        self.host, self.disks, self.status = host, disks, "stopped"
        self.snapshots, self.current = {}, None


class TwoHosts(RuleBasedStateMachine):
    vms = Bundle("vms")

    @initialize()
    def connect(self):
        for name in HOSTS:
            sim.forget(name)
        self.hosts = {name: novacron.connect(f"sim://{name}") for name in HOSTS}
        self.model = {}

    def teardown(self):
        for host in getattr(self, "hosts", {}).values():
            host.close()

    def handle(self, identity):
        return self.hosts[self.model[identity].host].vms[identity]

    @rule(target=vms, name=NAMES, host=st.sampled_from(HOSTS), disks=st.integers(0, 2), broken=st.booleans())
    def create(self, name, host, disks, broken):
        taken = any(e.host == host and self.names[i] == name for i, e in self.model.items())
        fields = {"disks": [{"size": "1GiB"}] * disks, "nics": [{"network": "nowhere" if broken else "default"}]}
        try:
            vm = self.hosts[host].vms.create(name=name, **fields)
        except errors.AlreadyExistsError:
            assert taken
        except errors.NetworkNotFoundError:
            assert broken
        else:
            assert not taken
            assert not broken
            self.model[vm.id] = Expected(host, disks)
            return vm.id
        return multiple()

    @property
    def names(self):
        return {vm.id: vm.name for host in self.hosts.values() for vm in host.vms.list()}

    @rule(vm=vms, action=st.sampled_from(["start", "stop", "suspend", "resume", "save"]))
    def power(self, vm, action):
        expected = self.model[vm]
        allowed, after = {
            "start": (("stopped", "saved"), "running"),
            "stop": (("running", "suspended"), "stopped"),
            "suspend": (("running", "suspended"), "suspended"),
            "resume": (("running", "suspended"), "running"),
            "save": (("running", "suspended"), "saved"),
        }[action]
        try:
            assert getattr(self.handle(vm), action)().status == after
        except errors.InvalidStateError:
            assert expected.status not in allowed
        else:
            assert expected.status in allowed
            expected.status = after

    @rule(vm=vms)
    def attach(self, vm):
        expected = self.model[vm]
        if expected.status != "saved":
            self.handle(vm).disks.attach(size="1GiB")
            expected.disks += 1

    @rule(vm=vms, name=st.sampled_from(["one", "two", "three"]), memory=st.sampled_from([None, False]))
    def snapshot(self, vm, name, memory):
        expected = self.model[vm]
        try:
            self.handle(vm).snapshots.create(name, memory=memory)
        except errors.AlreadyExistsError:
            assert name in expected.snapshots
        except errors.InvalidStateError:
            assert expected.status == "saved"
        else:
            assert name not in expected.snapshots
            status = "stopped" if memory is False else expected.status
            expected.snapshots[name] = (expected.current, status, expected.disks)
            expected.current = name

    @rule(vm=vms, data=st.data())
    def revert(self, vm, data):
        expected = self.model[vm]
        if expected.snapshots:
            name = data.draw(st.sampled_from(sorted(expected.snapshots)))
            _, expected.status, expected.disks = expected.snapshots[name]
            expected.current = name
            assert self.handle(vm).snapshots[name].revert().status == expected.status

    @rule(vm=vms, data=st.data(), children=st.booleans())
    def forget_snapshot(self, vm, data, children):
        expected = self.model[vm]
        if not expected.snapshots:
            return
        name = data.draw(st.sampled_from(sorted(expected.snapshots)))
        self.handle(vm).snapshots[name].delete(children=children)
        parent, going = expected.snapshots[name][0], {name}
        while children and (more := {n for n, s in expected.snapshots.items() if s[0] in going} - going):
            going |= more
        expected.snapshots = {
            n: (parent if s[0] in going else s[0], *s[1:]) for n, s in expected.snapshots.items() if n not in going
        }
        expected.current = parent if expected.current in going else expected.current

    @rule(vm=vms, fault=st.sampled_from([None, "before", "during", "after"]), storage=st.sampled_from(["shared", "copy"]))
    def migrate(self, vm, fault, storage):
        expected = self.model[vm]
        source, target = expected.host, next(name for name in HOSTS if name != expected.host)
        names = self.names
        possible = expected.status != "saved" and not any(
            e.host == target and names[i] == names[vm] for i, e in self.model.items()
        )
        faults = sim.world(source).faults
        if fault:
            faults.add("vm_migrate", error=errors.MigrationError("broke"), when=fault)
        error = None
        try:
            self.handle(vm).migrate(to=self.hosts[target], storage=storage)
        except errors.MigrationError as raised:
            error = raised
        finally:
            faults.clear()
        if error is None or error.outcome == "unknown":
            assert possible
            assert fault == ("after" if error else None)
            expected.host = target
        else:
            assert fault in ("before", "during") or (isinstance(error, errors.MigrationCheckError) and not possible)

    @rule(vm=consumes(vms), force=st.booleans())
    def delete(self, vm, force):
        expected = self.model[vm]
        try:
            assert self.handle(vm).delete(force=force).kept == ()
        except errors.InvalidStateError:
            assert expected.status in ("running", "suspended")
            assert not force
            self.handle(vm).delete(force=True)
        del self.model[vm]

    @invariant()
    def each_vm_is_on_exactly_one_host_as_expected(self):
        found = [(vm.id, vm.host.name, vm.status) for host in self.hosts.values() for vm in host.vms.list()]
        assert sorted(found) == sorted((i, e.host, e.status) for i, e in self.model.items())

    @invariant()
    def every_volume_belongs_to_a_vm_there_and_every_disk_has_its_volume(self):
        for name, host in self.hosts.items():
            world = sim.world(name)
            there = {("default", volume.name) for volume in host.pools.volumes()}
            used = set().union(*(vm.places() for vm in world.vms.values()))
            assert there == used

    @invariant()
    def snapshots_and_disks_are_as_expected(self):
        for identity, expected in self.model.items():
            vm = self.handle(identity)
            assert len(vm.record.disks) == expected.disks
            assert {s.name: s.record.parent for s in vm.snapshots} == {n: s[0] for n, s in expected.snapshots.items()}
            assert [s.name for s in vm.snapshots if s.record.current] == [n for n in (expected.current,) if n]


TwoHosts.TestCase.settings = settings(
    max_examples=500 if os.environ.get("NOVACRON_SOAK") else 20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTwoHosts = TwoHosts.TestCase
