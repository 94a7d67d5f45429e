"""Random operations in a generated inventory of odd names: after each of them govc sees exactly what was asked for."""

from __future__ import annotations

import random

import pytest

import novacron
from novacron import errors
from novacron_lab.govc import Govc
from novacron_lab.vcenter import VCenter
from novacron_vmware.names import escaped_name

PIECES = [
    "/",
    "%",
    "%2f",
    "%25",
    "\\",
    "'",
    '"',
    "-",
    "--",
    " ",
    ".",
    "..",
    "*",
    "[x]",
    "?",
    "$HOME",
    "`",
    "ü",
    "日本",
    "🚀",
    "a",
    "B",
    "7",
]


def odd_name(chance: random.Random, taken: set[str]) -> str:
    """A name of one to six odd pieces, sometimes of 80 characters."""
    while True:
        name = "".join(chance.choice(PIECES) for _ in range(chance.randint(1, 6))).strip()
        if chance.random() < 0.2:
            name = (name + "n" * 80)[:80].strip()
        # a stored "%2f" reads as "/", so two names that differ in that only are one
        if name and name not in (".", "..") and escaped_name(name) == stored(name) and name not in taken:
            taken.add(name)
            return name


def stored(name: str) -> str:
    """The name as a part of a path, if vSphere and govc agree on it."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


class Model:
    """What there should be: VMs by path, with their power state."""

    def __init__(self, govc: Govc) -> None:
        self.govc = govc
        self.vms: dict[str, bool] = {}
        self.folders: list[str] = []

    def check(self, what: str) -> None:
        assert self.govc.lines("find", "/", "-type", "m") == sorted(self.vms), what
        running = self.govc.lines("find", "/", "-type", "m", "-runtime.powerState", "poweredOn")
        assert running == sorted(path for path, runs in self.vms.items() if runs), what


@pytest.fixture(scope="module")
def vcenter():
    with VCenter("-machines", "0") as vcenter:
        yield vcenter


@pytest.mark.parametrize("seed", [1, 2])
def test_operations_never_meet_another_object(vcenter, seed, sample):
    """Folders within folders, VMs of one name in several of them, and every name a shell or a URL would stumble on."""
    chance, govc = random.Random(seed), Govc(vcenter)
    with novacron.connect(vcenter.uri(path="/DC0"), name="odd", password=vcenter.password) as host:
        model = inventory(host, govc, chance, seed)
        model.check("the inventory as it was made")
        for number in range(sample(8, 300)):
            act = chance.choice(ACTIONS)
            path = chance.choice(sorted(model.vms))
            what = f"seed {seed}, step {number}: {act.__name__} {path!r}"
            act(host, model, path, chance)
            model.check(what)
        listed = {vm.record.path: vm.status == "running" for vm in host.vms.list()}
        assert listed == model.vms
        for path in list(model.vms):
            host.vms[path].delete(force=True)
            del model.vms[path]
        model.check("the end")


def inventory(host, govc, chance, seed) -> Model:
    """Make four nested folders with three VMs each by govc, which has no rules for names.

    Objects are named to govc by their ids, because it takes `*`, `?` and `[` in paths for patterns.
    """
    model, names = Model(govc), set[str]()
    above = f"/DC0/vm/seed{seed}"
    host.native.folder_create(above)
    for _ in range(4):
        name = odd_name(chance, names)
        made = host.native.folder_create(f"{above}/{stored(name)}")
        assert (made.name, made.path) == (name, f"{above}/{stored(name)}")
        model.folders.append(made.path)
        above = chance.choice(model.folders)
    vms = set[str]()
    same = odd_name(chance, vms)
    for number, folder in enumerate(model.folders):
        where = f"Folder:{host.native.folder_show(folder).id}"
        for name in (same, odd_name(chance, vms), f"plain{seed}{number}"):
            govc(
                "vm.create",
                "-dc",
                "/DC0",
                "-on=false",
                "-folder",
                where,
                "-pool",
                "/DC0/host/DC0_C0/Resources",
                "-ds",
                "LocalDS_0",
                "-disk",
                "1MiB",
                "-net",
                "/DC0/network/VM Network",
                f"made{seed}-{len(model.vms)}",
            )
            made = host.native.object_show(f"{folder}/made{seed}-{len(model.vms)}")
            govc("object.rename", f"VirtualMachine:{made.id}", stored(name))  # vSphere escapes by itself, the simulator does not
            model.vms[f"{folder}/{stored(name)}"] = False
    return model


def toggle(host, model, path, chance):
    vm = host.vms[path]
    vm.stop() if model.vms[path] else vm.start()
    model.vms[path] = not model.vms[path]


def snapshot(host, model, path, chance):
    vm = host.vms[path]
    name = f"s{chance.randint(0, 10**6)}"
    vm.snapshots.create(name, memory=False)
    assert name in model.govc.lines("snapshot.tree", "-vm.ipath", path)
    vm.snapshots[name].delete()


def clone(host, model, path, chance):
    name = f"clone{chance.randint(0, 10**9)}"
    made = host.vms[path].clone(name)
    assert made.record.folder == path.rpartition("/")[0]
    model.vms[made.record.path] = False


def move(host, model, path, chance):
    target = chance.choice(model.folders)
    moved = f"{target}/{path.rpartition('/')[2]}"
    if moved in model.vms:
        return
    host.native.folder_move(target, (path,))
    model.vms[moved] = model.vms.pop(path)


def migrate(host, model, path, chance):
    target = chance.choice(model.folders)
    moved = f"{target}/{path.rpartition('/')[2]}"
    if moved in model.vms:
        return
    host.vms[path].migrate(host, folder=target)
    model.vms[moved] = model.vms.pop(path)


def delete(host, model, path, chance):
    if len(model.vms) < 5:
        return
    host.vms[path].delete(force=True)
    del model.vms[path]


def ask_by_name(host, model, path, chance):
    """By name alone: the VM itself, or a refusal that lists exactly the paths of all that have it."""
    from novacron_vmware.names import plain_name

    last = path.rpartition("/")[2]
    paths = sorted(each for each in model.vms if each.rpartition("/")[2] == last)
    if len(paths) == 1:
        assert host.vms[plain_name(last)].record.path == path
        return
    with pytest.raises(errors.InvalidSpecError) as caught:
        host.vms[plain_name(last)].refresh()
    assert caught.value.details["paths"] == paths


ACTIONS = [toggle, toggle, snapshot, clone, move, migrate, delete, ask_by_name]


TWINS = ("/DC0", "/F1/DC0")
"""Two datacenters of one name. Their clusters, datastores, networks and pods have the same names too."""


@pytest.fixture(scope="module")
def twins():
    """Both have a cluster with a vApp, an ESXi alone, a distributed switch, and a datastore in a datastore cluster."""
    with VCenter("-datacenters", "2", "-machines", "0", "-hosts", "2") as vcenter:
        govc = Govc(vcenter)
        govc("folder.create", "/F1")
        govc("object.mv", "/DC1", "/F1")
        govc("object.rename", "/F1/DC1", "DC0")
        govc("object.rename", "/F1/DC0/host/DC1_C0", "DC0_C0")
        for datacenter in TWINS:
            govc("folder.create", "-pod", f"{datacenter}/datastore/pod")
            govc("object.mv", f"{datacenter}/datastore/LocalDS_1", f"{datacenter}/datastore/pod")
        with novacron.connect(vcenter.uri(), name="twins", password=vcenter.password) as host:
            for datacenter in TWINS:
                host.native.pool_create("shop", f"{datacenter}/host/DC0_C0", vapp=True)
        yield vcenter


@pytest.mark.parametrize("seed", [1, 2])
def test_datacenters_of_one_name_are_never_mixed_up(twins, seed, sample):
    """VMs are made in folders, vApps, pods and on single nodes of either datacenter, then changed, moved, copied and deleted."""
    chance, govc = random.Random(seed), Govc(twins)
    with novacron.connect(twins.uri(), name="twins", password=twins.password) as host:
        model = Model(govc)
        names = set[str]()
        for datacenter in TWINS:
            above = f"{datacenter}/vm"
            for _ in range(3):
                above = host.native.folder_create(f"{above}/{stored(odd_name(chance, names))}").path
                model.folders.append(above)
        for _ in range(4):
            create(host, model, "", chance)
        for number in range(sample(8, 300)):
            act = chance.choice(TWIN_ACTIONS)
            path = chance.choice(sorted(model.vms))
            act(host, model, path, chance)
            model.check(f"seed {seed}, step {number}: {act.__name__} {path!r}")
        assert {vm.record.path: vm.status == "running" for vm in host.vms.list()} == model.vms
        for datacenter in TWINS:
            found = {vm.record.path for vm in host.vms.list(folder=f"{datacenter}/vm")}
            assert found == {path for path in model.vms if path.startswith(f"{datacenter}/vm/")}
        for path in list(model.vms):
            host.vms[path].delete(force=True)
            del model.vms[path]
        model.check("the end")


def create(host, model, path, chance):
    """Somewhere in one of the datacenters; govc finds the VM, its disk, its NIC and its pool in that one alone."""
    datacenter = chance.choice(TWINS)
    store, folder = (
        chance.choice(("LocalDS_0", "pod/LocalDS_1")),
        chance.choice([each for each in model.folders if each.startswith(f"{datacenter}/vm/")]),
    )
    pool = chance.choice(("DC0_C0/Resources", "DC0_C0/Resources/shop"))
    name = f"vm{chance.randint(0, 10**9)}"
    vm = host.vms.create(
        name=name,
        memory="64MiB",
        disks=[{"size": "1MiB", "pool": f"{datacenter}/datastore/{store}"}],
        nics=[{"network": f"{datacenter}/network/VM Network"}],
        native={"folder": folder, "resource_pool": f"{datacenter}/host/{pool}"},
    )
    made = f"{folder}/{name}"
    assert vm.record.path == made
    model.vms[made] = False
    for kind, wanted in (
        ("datastore", f"datastore/{store}"),
        ("network", "network/VM Network"),
        ("resourcePool", f"host/{pool}"),
    ):
        (seen,) = model.govc.lines("object.collect", "-s", f"VirtualMachine:{host.native.object_show(made).id}", kind)
        above, _, last = f"{datacenter}/{wanted}".rpartition("/")
        assert model.govc.lines("find", "-i", "-maxdepth", "1", above, "-name", last) == [seen], (made, kind)


def move_within(host, model, path, chance):
    """Into another folder of its datacenter."""
    datacenter = next(each for each in TWINS if path.startswith(f"{each}/vm/"))
    target = chance.choice([each for each in model.folders if each.startswith(f"{datacenter}/vm/")])
    host.native.folder_move(target, (path,))
    model.vms[f"{target}/{path.rpartition('/')[2]}"] = model.vms.pop(path)


def show(host, model, path, chance):
    """By path and by id; the same VM, and none for the other datacenter's path."""
    vm = host.vms[path]
    assert vm.record.path == path
    assert host.vms[vm.id].record.path == path
    here, there = TWINS if path.startswith(f"{TWINS[0]}/vm/") else reversed(TWINS)
    with pytest.raises(errors.VMNotFoundError):
        host.vms[path.replace(f"{here}/", f"{there}/", 1)]


TWIN_ACTIONS = [toggle, snapshot, clone, delete, create, create, move_within, show]
