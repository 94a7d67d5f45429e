"""All collections iterate, count, know `in`, `[]` and `get`, suggest similar names, and show what they are."""

import inspect

import pytest

import novacron
from novacron.errors import InvalidSpecError, NotFoundError
from novacron.workflow import steps


@pytest.fixture
def owners(own_state):
    """A host, a VM of it and the fleet that it belongs to; each collection has one item."""
    fleet = novacron.fleet()
    fleet.add("kvm1", "sim://collections")
    host = fleet.hosts["kvm1"]
    vm = host.vms.create(name="web1", disks=[{"size": "1GiB"}], nics=[{"network": "default", "mac": "52:54:00:00:00:01"}])
    vm.snapshots.create("before")
    host.filters.create(name="clean")
    fleet.nodes.refresh()
    fleet.groups.set("prod", vcpus_ratio=2)
    flow = steps.snapshot("nightly") >> steps.keep_snapshots("nightly", last=3)
    fleet.schedules.add("nightly", flow, cron="0 3 * * *", vms=[vm])
    run = flow.run([vm])
    yield {"host": host, "vm": vm, "fleet": fleet, "run": run.id}
    host.close()


COLLECTIONS = {
    "host.vms": ("web1", "wbe1"),
    "host.pools": ("default", "defualt"),
    "host.networks": ("default", "defualt"),
    "host.filters": ("clean", "claen"),
    "vm.disks": ("vda", "vad"),
    "vm.nics": ("52:54:00:00:00:01", "52:54:00:00:00:02"),
    "vm.snapshots": ("before", "befor"),
    "fleet.hosts": ("kvm1", "kmv1"),
    "fleet.vms": ("web1", "wbe1"),
    "fleet.nodes": ("collections", "colections"),
    "fleet.groups": ("prod", "prdo"),
    "fleet.schedules": ("nightly", "nigthly"),
}


@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_collection_behaves_like_one(owners, path):
    owner, attribute = path.split(".")
    collection, (name, misspelt) = getattr(owners[owner], attribute), COLLECTIONS[path]
    assert len(collection) == len(list(collection)) >= 1
    assert name in collection
    assert misspelt not in collection
    assert collection.get(name) is not None
    assert collection[name] is not None
    assert collection.get(misspelt) is None
    assert collection.get(misspelt, "nothing") == "nothing"
    with pytest.raises(NotFoundError) as raised:
        collection[misspelt]
    assert f"did you mean {name}?" in raised.value.hint
    with pytest.raises(InvalidSpecError, match="a name, as text"):
        collection[3]


def test_runs_are_a_collection_by_their_ids(owners):
    runs, run = owners["fleet"].runs, owners["run"]
    assert run in runs
    assert run in {each.id for each in runs}
    assert len(runs) >= 1
    assert runs.get("none") is None


def test_a_part_of_a_page_is_a_list_of_vms(owners):
    page = owners["host"].vms.list()
    assert [vm.name for vm in page[:1]] == [page[0].name]
    assert page[5:] == []


def test_nothing_shows_the_address_of_an_object(owners):
    """All that is reached from a host, a VM and a fleet by public names says what it is."""
    vm = owners["vm"]
    seen, bad = set(), []

    def look(thing, path):
        if type(thing) in seen or len(path) > 4:
            return
        seen.add(type(thing))
        if " at 0x" in repr(thing):
            bad.append((".".join(path), repr(thing)))
        for name in dir(thing):
            if name.startswith("_"):
                continue
            try:
                found = getattr(thing, name)
            except (AttributeError, novacron.NovaCronError):
                continue
            if not inspect.isroutine(found) and type(found).__module__.startswith("novacron"):
                look(found, [*path, name])

    for name, thing in {
        "host": owners["host"],
        "fleet": owners["fleet"],
        "vm": vm,
        "page": owners["host"].vms.list(),
        "disk": vm.disks["vda"],
        "nic": vm.nics["52:54:00:00:00:01"],
        "snapshot": vm.snapshots["before"],
        "changes": vm.plan_update(vcpus=2),
        "job": vm.snapshots.create("more", wait=False),
    }.items():
        look(thing, [name])
    assert len(seen) > 20
    assert not bad
