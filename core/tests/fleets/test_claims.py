"""Claims: no node is ever given more than it has, and nothing stays claimed for an operation that failed or was interrupted."""

import os
import random
import subprocess
import sys
import threading
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novacron import Site, errors
from novacron.drivers.sim.operations.host import SimHost
from novacron.drivers.sim.state.world import world
from novacron.fleets.effects import CLAIMED, NEUTRAL
from novacron.plugins import hookimpl
from novacron.plugins.validation import operations
from novacron.records.capacity import Amounts
from novacron.specs import HostDeviceSpec
from novacron.store.allocations import AllocationStore, NoRoom
from novacron.store.nodes import FoundNode, NodeStore
from novacron.store.takers import Taker

GIB = 2**30


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state", actor="ann") as made:
        yield made


@pytest.fixture
def add(site):
    """Return a function that adds a simulated host of 64 CPUs and 256 GiB, whose capacity is managed, and returns its handle."""

    def make(name, group="prod", **settings):
        machine = f"{name}-{uuid.uuid4().hex[:8]}"
        site.fleet.add(name, f"sim://{machine}")
        site.fleet.nodes.refresh([name])
        if group:
            site.fleet.nodes.set(name, group=group, **({"vcpus_ratio": 1, "memory_reserved": 0} | settings))
        host = site.fleet.hosts[name]
        host.world = world(machine)
        return host

    return make


def allocated(site, name):
    """Return what is allocated on a node, after a check that it is the sum of its allocations."""
    node = site.fleet.nodes[name]
    listed = site.fleet.allocations(name)
    assert node.vcpus.allocated == sum(each.amounts.vcpus for each in listed)
    assert node.memory.allocated == sum(each.amounts.memory_bytes for each in listed)
    assert node.storage.allocated == sum(each.amounts.storage_bytes for each in listed)
    assert not [each for each in listed if each.pending]
    return node.vcpus.allocated, node.memory.allocated // GIB, node.storage.allocated // GIB


def test_each_changing_operation_says_what_it_does_to_allocations():
    changing = {name for name, operation in operations().items() if not operation.reads}
    assert changing == CLAIMED | NEUTRAL
    assert not CLAIMED & NEUTRAL


def test_a_driver_that_lists_no_nodes_works_beside_managed_ones(site, add, monkeypatch):
    """The capacity of such a host is not managed; its operations need no claim."""
    add("a")
    host = add("b", group=None)
    offers = host.dispatcher._offers
    monkeypatch.setattr(host.dispatcher, "_offers", lambda operation: operation != "node_list" and offers(operation))
    vm = host.vms.create(name="web", vcpus=2, disks=[{"size": "10GiB"}], start=True)
    vm.stop()
    vm.clone("copy")
    vm.delete(force=True)
    assert site.fleet.nodes.refresh(["b"]).unreachable == {}
    assert site.fleet.mac_clashes() == []


def test_the_life_of_a_vm(site, add):
    host = add("a")
    vm = host.vms.create(name="web", vcpus=2, memory="4GiB", disks=[{"size": "10GiB"}])
    assert allocated(site, "a") == (0, 0, 10)
    assert [each.owner for each in site.fleet.allocations("a")] == ["ann"]
    steps = [
        (vm.start, (2, 4, 10)),
        (lambda: vm.resources.set_vcpus(1, live=True), (1, 4, 10)),
        (lambda: vm.resources.set_memory("2GiB", live=True), (1, 2, 10)),
        (lambda: vm.disks.attach(size="5GiB"), (1, 2, 15)),
        (vm.suspend, (1, 2, 15)),
        (vm.resume, (1, 2, 15)),
        (vm.save, (0, 0, 15)),
        (vm.restore, (1, 2, 15)),
        (vm.shutdown, (0, 0, 15)),
        (lambda: vm.clone("copy"), (0, 0, 30)),
        (lambda: vm.clone("linked", linked=True), None),
        (lambda: host.vms["linked"].delete(), (0, 0, 30)),
        (lambda: host.vms["copy"].delete(), (0, 0, 15)),
        (vm.delete, (0, 0, 0)),
    ]
    for step, expected in steps:
        step()
        found = allocated(site, "a")
        assert expected is None or found == expected, step
        assert not site.fleet.nodes.refresh().drifts


def test_a_vm_that_does_not_fit_is_refused_before_anything_is_created(site, add):
    host = add("a", memory_reserved="200GiB")
    with pytest.raises(errors.ResourceAllocationError, match=r"65 vCPUs wanted, 64 free") as caught:
        host.vms.create(name="large", vcpus=65, start=True)
    assert caught.value.outcome == "not_sent"
    with pytest.raises(errors.ResourceAllocationError, match=r"memory wanted, 56 GiB free"):
        host.vms.create(name="large", memory="60GiB", start=True)
    assert not len(host.vms)
    assert allocated(site, "a") == (0, 0, 0)


@pytest.mark.parametrize(
    "grow",
    [
        lambda vm: vm.start(),
        lambda vm: vm.host.vms["on"].resources.set_vcpus(65, live=True),
        lambda vm: vm.host.vms["on"].clone("more", instant=True),
        lambda vm: vm.host.templates.create(vm.id, "gold") and vm.host.templates.deploy("gold", name="new", vcpus=32, start=True),
    ],
)
def test_growth_beyond_the_limit_is_refused_and_leaves_no_claim(site, add, grow):
    host = add("a")
    host.vms.create(name="on", vcpus=33, vcpus_max=100, start=True)
    vm = host.vms.create(name="off", vcpus=32)
    names = sorted(each.name for each in host.vms.list())
    with pytest.raises(errors.ResourceAllocationError, match="vCPUs wanted"):
        grow(vm)
    assert allocated(site, "a")[0] == 33
    assert sorted(each.name for each in host.vms.list()) == names


def test_the_claim_of_an_operation_that_fails_is_undone(site, add):
    host = add("a")
    host.vms.create(name="web", vcpus=2)
    with pytest.raises(errors.AlreadyExistsError):
        host.vms.create(name="web", vcpus=3, start=True)
    with pytest.raises(errors.NovaCronError):
        host.vms.create(name="other", nics=[{"network": "ghost"}], start=True)
    assert allocated(site, "a")[0] == 0
    assert len(site.fleet.allocations()) == 1


def test_a_migration_moves_the_allocation_and_its_owner(site, add):
    a, b = add("a"), add("b")
    vm = a.vms.create(name="web", vcpus=8, memory="1GiB", start=True)
    vm.migrate("b", storage="copy")
    assert (allocated(site, "a"), allocated(site, "b")) == ((0, 0, 0), (8, 1, 0))
    assert [each.owner for each in site.fleet.allocations("b")] == ["ann"]
    b.vms.create(name="filler", vcpus=56, start=True)
    vm = a.vms.create(name="next", vcpus=8, start=True)
    with pytest.raises(errors.ResourceAllocationError, match="can't be placed on"):
        vm.migrate("b", storage="copy")
    assert vm.refresh().host.name == "a"
    assert (allocated(site, "a")[0], allocated(site, "b")[0]) == (8, 64)


def test_a_failed_migration_leaves_no_claim_at_the_destination(site, add):
    a = add("a")
    add("b")
    vm = a.vms.create(name="web", vcpus=8, nics=[{"network": "default"}], start=True)
    site.fleet.hosts["b"].networks.stop("default")
    with pytest.raises(errors.MigrationError):
        vm.migrate("b")
    assert (allocated(site, "a")[0], allocated(site, "b")[0]) == (8, 0)


@pytest.mark.parametrize("has_uuid", [True, False], ids=["with a UUID", "without a UUID"])
def test_what_other_tools_freed_is_noticed_before_a_claim_is_refused(site, add, tmp_path, monkeypatch, has_uuid):
    """A hypervisor may tell no UUID of its machines; the node is stored under its place then."""
    if not has_uuid:
        listed = SimHost.node_list

        @hookimpl
        def node_list(self):
            return [node.replace(id=None) for node in listed(self)]

        monkeypatch.setattr(SimHost, "node_list", node_list)
    host = add("a")
    host.vms.create(name="full", vcpus=64, start=True)
    with Site(tmp_path / "other") as other:
        other.connect(f"sim://{host.world.name}").vms["full"].stop()
    assert site.fleet.nodes["a"].vcpus.allocated == 64
    host.vms.create(name="next", vcpus=64, start=True)
    assert allocated(site, "a")[0] == 64


def test_a_node_without_a_group_is_not_limited(site, add):
    add("managed")
    host = add("free", group=None)
    for number in range(3):
        host.vms.create(name=f"vm-{number}", vcpus=200, start=True)
    assert site.fleet.nodes["free"].vcpus.allocated == 0


def test_a_site_without_groups_opens_no_database_for_an_operation(tmp_path):
    with Site(tmp_path / "state") as made:
        made.connect(f"sim://{uuid.uuid4().hex}").vms.create(name="web", start=True)
        assert not (tmp_path / "state" / "state.db").exists()


def test_a_change_without_groups_does_not_import_sqlalchemy(tmp_path):
    script = (
        "import sys, novacron; site = novacron.Site(sys.argv[1]); host = site.connect('sim://x?vms=3');"
        "host.invoke('vm_stop', vm='vm-00001'); print('sqlalchemy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"


def test_a_group_that_another_process_sets_is_noticed_at_once(site, add, tmp_path):
    host = add("a", group=None)
    host.vms.create(name="one", vcpus=60, start=True)
    with Site(tmp_path / "state") as other:
        other.fleet.nodes.set("a", group="prod", vcpus_ratio=1)
    with pytest.raises(errors.ResourceAllocationError):
        host.vms.create(name="two", vcpus=60, start=True)


def test_a_cordoned_node_takes_no_new_vm_but_starts_its_own(site, add):
    host = add("a")
    vm = host.vms.create(name="web")
    site.fleet.nodes.cordon("a", "a new disk")
    with pytest.raises(errors.ResourceAllocationError, match="cordoned"):
        host.vms.create(name="new")
    vm.start()
    site.fleet.nodes.uncordon("a")
    host.vms.create(name="new")


def test_locked_memory_is_refused_where_memory_is_overcommitted(site, add):
    host = add("a", memory_ratio=1.5)
    with pytest.raises(errors.ResourceAllocationError, match="huge pages"):
        host.vms.create(name="db", memory_backing={"hugepages": True}, start=True)


def test_a_pci_device_is_refused_where_memory_is_overcommitted(site, add):
    host = add("a", memory_ratio=1.5)
    vm = host.vms.create(name="gpu", start=True)
    device = next(device for device in host.invoke("device_list") if device.kind == "pci")
    with pytest.raises(errors.ResourceAllocationError, match="devices of the host"):
        host.invoke("device_attach", vm=vm.id, spec=HostDeviceSpec(pci=device.address))


@pytest.mark.parametrize(("scope", "fits"), [("host", True), ("rack", False)])
def test_a_must_rule_keeps_vms_apart(site, add, scope, fits):
    hosts = [add(name, labels={"rack": "r1"}) for name in "ab"]
    site.fleet.rules.add("apart", "anti-affinity", tag="db", scope=scope)
    hosts[0].vms.create(name="db1", tags={"db"}, start=True)
    with pytest.raises(errors.ResourceAllocationError, match="away from db1"):
        hosts[0].vms.create(name="db2", tags={"db"}, start=True)
    plain = hosts[0].vms.create(name="plain")
    with pytest.raises(errors.ResourceAllocationError, match="away from db1"):
        plain.update(tags={"db"})
    if fits:
        db2 = hosts[1].vms.create(name="db2", tags={"db"}, start=True)
        with pytest.raises(errors.ResourceAllocationError, match="away from db1"):
            db2.migrate("a", storage="copy")
    else:
        with pytest.raises(errors.ResourceAllocationError, match="rack"):
            hosts[1].vms.create(name="db2", tags={"db"}, start=True)


def test_a_must_rule_keeps_vms_together(site, add):
    a, b = add("a"), add("b")
    site.fleet.rules.add("close", "affinity", tag="app")
    a.vms.create(name="app1", tags={"app"})
    a.vms.create(name="app2", tags={"app"})
    with pytest.raises(errors.ResourceAllocationError, match="with app1"):
        b.vms.create(name="app3", tags={"app"})


def test_rules_that_contradict_each_other_or_are_broken_are_refused(site, add):
    host = add("a", labels={"rack": "r1"})
    for name in ("db1", "db2"):
        host.vms.create(name=name, tags={"db"})
    with pytest.raises(errors.InvalidSpecError, match="db1, db2"):
        site.fleet.rules.add("apart", "anti-affinity", tag="db")
    site.fleet.rules.add("apart", "anti-affinity", tag="db", must=False)
    assert [(rule.name, vms) for rule, vms in site.fleet.rules.broken()] == [("apart", ["db1", "db2"])]
    site.fleet.rules.add("close", "affinity", tag="db")
    with pytest.raises(errors.InvalidSpecError, match="contradict"):
        site.fleet.rules.add("apart-too", "anti-affinity", tag="db", scope="rack")
    with pytest.raises(errors.InvalidSpecError, match="rack"):
        site.fleet.rules.add("x", "affinity", tag="db", scope="room")


def test_a_quota_holds_for_an_owner_and_for_a_tag(site, add):
    host = add("a")
    site.fleet.quotas.set("owner:ann", vcpus=4)
    site.fleet.quotas.set("tag:test", vms=1)
    host.vms.create(name="one", vcpus=3, tags={"test"}, start=True)
    with pytest.raises(errors.ResourceAllocationError, match="owner:ann allows 4 vcpus, it would be 5"):
        host.vms.create(name="two", vcpus=2, start=True)
    host.acting_for("bob").vms.create(name="two", vcpus=2, start=True)
    with pytest.raises(errors.ResourceAllocationError, match="tag:test"):
        host.acting_for("bob").vms.create(name="three", tags={"test"})
    host.vms["one"].stop()
    assert [(quota.subject, quota.used.vcpus, quota.used_vms) for quota in site.fleet.quotas] == [
        ("owner:ann", 0, 1),
        ("tag:test", 0, 1),
    ]


# ---- the store itself


@pytest.fixture
def store(site):
    """Return allocations with one node of 16 CPUs and 64 GiB."""
    return make_store(site)


def make_store(site, nodes=1, cpus=16):
    from novacron.fleets.limits import effective

    found = NodeStore(site.database)
    for number in range(nodes):
        node = FoundNode(id=f"n{number}", name=f"n{number}", host=f"n{number}", cpus=cpus, memory=64 * GIB)
        found.save(node, [f"n{number}"], lambda group, own: effective({"vcpus_ratio": 1.0, "memory_reserved": 0}))
    return AllocationStore(site.database)


def taker(name, vcpus, **more):
    return Taker(vm=name, name=name, amounts=Amounts(vcpus=vcpus, memory_bytes=GIB), **more)


steps = st.lists(
    st.tuples(st.sampled_from(["claim", "confirm", "restore", "free", "reconcile"]), st.integers(0, 4), st.integers(0, 12)),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_sequence_keeps_the_sums_right_and_the_node_within_its_limits(site, store, steps):
    node = NodeStore(site.database)
    with site.database.transaction() as connection:
        from novacron.store.tables import allocations, nodes

        connection.execute(allocations.delete())
        connection.execute(nodes.update().values(vcpus_allocated=0, memory_allocated=0, storage_allocated=0))
    confirmed, pending = {}, {}
    for step, number, vcpus in steps:
        name = f"vm{number}"
        if step == "claim":
            fits = sum((confirmed | pending | {name: vcpus}).values()) <= 16 or vcpus <= (confirmed | pending).get(name, 0)
            try:
                store.claim("n0", taker(name, vcpus), "me")
            except NoRoom:
                assert not fits
            else:
                pending[name] = vcpus
        elif step == "confirm" and name in pending:
            store.confirm("n0", taker(name, pending[name]))
            confirmed[name] = pending.pop(name)
        elif step == "restore" and name in pending:
            store.restore("n0", name)
            del pending[name]
        elif step == "free":
            store.free("n0", name)
            confirmed.pop(name, None)
            pending.pop(name, None)
        elif step == "reconcile":
            truth = {vm: taker(vm, amount) for vm, amount in confirmed.items()}
            assert store.replace("n0", store.generation("n0"), truth, alive=()) is not None
            pending.clear()
        expected = confirmed | pending
        assert {each.vm: each.amounts.vcpus for each in store.list("n0")} == expected
        found = node.find("n0")
        assert (found.vcpus.allocated, found.memory.allocated) == (sum(expected.values()), len(expected) * GIB)
        assert found.vcpus.allocated <= 16


def test_a_reconciliation_that_read_too_early_changes_nothing(store):
    before = store.generation("n0")
    store.claim("n0", taker("vm", 1), "me")
    assert store.replace("n0", before, {}, alive=()) is None
    assert [each.vm for each in store.list()] == ["vm"]


def test_threads_that_claim_at_once_never_oversell(site, store):
    done = []

    def work(number):
        for turn in range(10):
            try:
                store.claim("n0", taker(f"{number}-{turn}", 1, tags=frozenset({"one"})), "me")
                done.append(1)
            except NoRoom:
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(done) == 16 == NodeStore(site.database).find("n0").vcpus.allocated


def killed_at_random(processes, seconds, nodes, number):
    """Let processes claim, kill them at random and replace them; return how often allocations changed."""
    chance, seeds = random.Random(7), iter(range(1000))
    running = [processes.start("claim", nodes, next(seeds)) for _ in range(number)]
    until = time.monotonic() + seconds
    with Site() as site:
        store, stored = AllocationStore(site.database), NodeStore(site.database)
        while time.monotonic() < until:
            before = sum(stored_generation(site).values())
            while sum(stored_generation(site).values()) < before + 20:  # they have worked since the last one was killed
                assert time.monotonic() < until + 30
                time.sleep(0.02)
            processes.end(running.pop(chance.randrange(len(running))))
            running.append(processes.start("claim", nodes, next(seeds)))
            assert all(node.vcpus.allocated <= node.vcpus.limit for node in stored.list())
        for pid in running:
            processes.end(pid)
        for node in nodes:
            confirmed = [each for each in store.list(node) if not each.pending]
            truth = {each.vm: Taker(vm=each.vm, name=each.name, amounts=each.amounts, tags=each.tags) for each in confirmed}
            assert store.replace(node, store.generation(node), truth, alive=site._alive()) is not None
            left = store.list(node)
            found = stored.find(node)
            assert len(left) == len(confirmed)
            assert found.vcpus.allocated == sum(each.amounts.vcpus for each in left) <= found.vcpus.limit
            assert found.memory.allocated == sum(each.amounts.memory_bytes for each in left) <= found.memory.limit
        return sum(stored_generation(site).values())


def stored_generation(site):
    from novacron.store.tables import nodes

    with site.database.transaction() as connection:
        return {row.id: row.generation for row in connection.execute(nodes.select())}


def test_killed_processes_oversell_nothing_and_leave_nothing_with_sqlite(processes, sample):
    with Site() as site:
        make_store(site, nodes=4)
    assert killed_at_random(processes, sample(1, 60), ["n0", "n1", "n2", "n3"], sample(4, 8)) >= 20


@pytest.mark.lab
def test_killed_processes_oversell_nothing_and_leave_nothing_with_postgresql(postgresql, processes, sample):
    with Site() as site:
        make_store(site, nodes=4)
    assert killed_at_random(processes, sample(1, 60), ["n0", "n1", "n2", "n3"], sample(4, 8)) >= 20


@pytest.mark.lab
def test_a_claim_takes_few_round_trips_to_postgresql(postgresql, monkeypatch):
    """Each round trip lasts longer than its statement. An error of the statements that are sent with the commit undoes the claim."""
    import psycopg
    from sqlalchemy import event, text

    from novacron.store import database

    alone, together = [], []

    def note(connection, cursor, statement, *_):
        pipeline = cursor.connection.pgconn.pipeline_status != psycopg.pq.PipelineStatus.OFF
        (together if pipeline else alone).append(statement.split()[0])

    with Site() as site:
        store = make_store(site)
        store.claim("n0", taker("first", 1), "me")
        event.listen(site.database._engine(), "before_cursor_execute", note)
        store.claim("n0", taker("second", 1), "me")
        assert alone == ["UPDATE", "SELECT"]  # the lock, and all that is read
        assert together == ["UPDATE", "INSERT"]  # sent with the commit
        with pytest.raises(errors.StorageError):
            store.claim("n0", taker("x" * 1000, 1), "me")  # too long for its column
        assert NodeStore(site.database).list()[0].vcpus.allocated == 2

        monkeypatch.setattr(database, "PING_AFTER", 0.0)
        with psycopg.connect(postgresql_url()) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()")
        with site.database.transaction() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        store.claim("n0", taker("third", 1), "me")
        assert {each.name for each in store.list("n0")} == {"first", "second", "third"}


def postgresql_url():
    return os.environ["NOVACRON_DATABASE"]
