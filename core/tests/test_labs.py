"""Labs: applied twice they change nothing, changes are made in place, and a killed apply is resumed by the next."""

import copy
import itertools
import json
import random
import re
import time
from pathlib import Path

import pytest

import novacron
from novacron.errors import InvalidSpecError, InvalidStateError, NovaCronError
from novacron.labs import Lab, describe, lab_schema
from novacron.site import default_site
from novacron.store.labs import LabStore
from novacron.testing.lab_changes import ALONE, applies, changed_lab, changes_in
from novacron.testing.marked import SecretSearch, mark
from novacron.testing.served import SimServer

WORLDS = itertools.count()
LAB = {
    "name": "web-lab",
    "parameters": {"n": 2, "memory": "1GiB"},
    "profiles": {"base": {"memory": "512MiB", "tags": ["lab"]}, "web": {"profile": "base", "memory": "${memory}", "vcpus": 2}},
    "pools": {"labpool": {"type": "dir", "path": "/srv/labpool"}},
    "volumes": {"data": {"pool": "labpool", "capacity": "1GiB"}},
    "networks": {"lan": {"type": "isolated", "cidr": "10.9.0.1/24", "dhcp_start": "10.9.0.10", "dhcp_end": "10.9.0.20"}},
    "vms": {
        "web": {
            "count": "${n}",
            "profile": "web",
            "description": "web server ${index}",
            "nics": [{"network": "lan"}],
            "disks": [{"size": "2GiB", "pool": "labpool"}],
            "running": True,
        },
        "db": {
            "profile": "base",
            "watchdog": "reset",
            "cloud_init": {"user_data": f"#cloud-config\npassword: {mark('cloud-init', 'lab')}"},
        },
    },
}


@pytest.fixture
def host(tmp_path, monkeypatch):
    name = f"labs-{next(WORLDS)}"
    with novacron.connect(f"sim://{name}?vms=2") as host:
        yield host


def changed(**sections):
    lab = copy.deepcopy(LAB)
    for path, value in sections.items():
        *parents, last = path.split("__")
        place = lab
        for part in parents:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return lab


def plan(host, lab=LAB, parameters=None, **options):
    return Lab.parse(lab, parameters).plan(host, **options)


def names(found):
    return [(action.action, action.kind, action.name) for action in found]


@pytest.fixture
def applied(host):
    plan(host).apply()
    yield host
    plan(host, {"name": "web-lab"}, destroy=True).apply()


def test_everything_is_created_in_the_order_of_its_dependencies(applied):
    assert [(vm.name, vm.status, vm.record.description) for vm in applied.vms.list(name="web-*", detail="full")] == [
        ("web-1", "running", "web server 1"),
        ("web-2", "running", "web server 2"),
    ]
    web = applied.vms["web-1"].record
    assert (web.memory_bytes, web.vcpus, web.tags, web.nics[0].network, web.disks[0].pool) == (
        2**30,
        2,
        frozenset({"lab"}),
        "lan",
        "labpool",
    )
    assert web.metadata["lab"] == "web-lab"
    assert applied.vms["db"].status == "stopped"
    assert not len(plan(applied)), names(plan(applied))
    assert plan(applied).apply().id is None


CHANGES = {
    "more copies": ({"parameters__n": 3}, [("create", "vm", "web-3")]),
    "memory": ({"parameters__memory": "2GiB"}, [("update", "vm", "web-1"), ("update", "vm", "web-2")]),
    "more vCPUs than the most so far": ({"vms__db__vcpus": 3}, [("update", "vm", "db")]),
    "text": ({"vms__db__description": "new"}, [("update", "vm", "db")]),
    "tags": ({"vms__db__tags": ["lab", "db"]}, [("update", "vm", "db")]),
    "hardware": ({"vms__db__features": {"hyperv": True}}, [("update", "vm", "db")]),
    "watchdog": ({"vms__db__watchdog": "poweroff"}, [("update", "vm", "db")]),
    "power on": ({"vms__db__running": True}, [("start", "vm", "db")]),
    "power off": ({"vms__web__running": False}, [("stop", "vm", "web-1"), ("stop", "vm", "web-2")]),
    "a larger disk": ({"vms__web__disks": [{"size": "3GiB", "pool": "labpool"}]}, 2 * ["resize"]),
    "another disk": ({"vms__db__disks": [{"size": "1GiB"}]}, ["attach"]),
    "another NIC": ({"vms__db__nics": [{"network": "lan"}]}, ["attach"]),
    "another network": ({"vms__web__nics": [{"network": "default"}]}, 2 * ["update"]),
    "a larger volume": ({"volumes__data__capacity": "2GiB"}, [("resize", "volume", "data")]),
    "a DHCP range": ({"networks__lan__dhcp_end": "10.9.0.30"}, [("update", "network", "lan")]),
    "a network more": ({"networks__two": {"type": "isolated"}}, [("create", "network", "two")]),
    "nothing but the order": ({"vms": dict(reversed(LAB["vms"].items()))}, []),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_made_in_place_and_is_complete(applied, change):
    sections, expected = CHANGES[change]
    lab = changed(**sections)
    ids = {vm.name: vm.id for vm in applied.vms.list()}
    found = plan(applied, lab)
    assert (names(found) if expected and isinstance(expected[0], tuple) else [a for a, _, _ in names(found)]) == expected
    found.apply()
    assert not len(plan(applied, lab)), names(plan(applied, lab))
    assert ids.items() <= {vm.name: vm.id for vm in applied.vms.list()}.items()


@pytest.mark.parametrize(
    "sections",
    [
        {"vms__db__firmware": "uefi"},
        {"vms__web__disks": [{"size": "1GiB", "pool": "labpool"}]},
        {"volumes__data__capacity": "100MiB"},
        {"networks__lan__cidr": "10.8.0.1/24", "networks__lan__dhcp_start": "10.8.0.2", "networks__lan__dhcp_end": "10.8.0.3"},
        {"pools__labpool__path": "/elsewhere"},
    ],
)
def test_what_cannot_change_in_place_is_named_and_nothing_is_done(applied, sections):
    lab = changed(**sections, vms__db__description="not this")
    with pytest.raises(InvalidStateError, match="in place"):
        plan(applied, lab).apply()
    assert applied.vms["db"].record.description == ""


def test_each_change_of_the_table_in_the_docs_applies_when_it_says(host):
    """Then all changes that are made in place are applied at once, and a second apply finds nothing to do."""
    table = changes_in(Path(__file__).parents[2] / "docs" / "lab-changes.md")
    assert len(table) >= 40
    Lab.parse(changed_lab()).plan(host).apply()
    found = [(change, applies(Lab.parse(changed_lab(change)).plan(host))) for change in table]
    assert [(change, when) for change, when in found if when != change.applies] == []
    in_place = [change for change in table if change.applies in ("at once", "next start")]
    together = [change for change in in_place if change.path not in ALONE]
    for changes in (*([change] for change in in_place if change.path in ALONE), together):
        lab = changed_lab(*changes)
        Lab.parse(lab).plan(host).apply()
        assert names(Lab.parse(lab).plan(host)) == []


def test_fields_that_no_host_reports_are_compared_with_what_the_resource_was_created_with(host):
    """Not with what a lab of an older version created, of which nothing was stored."""
    lab = {"name": "unread", "vms": {"u1": {"disks": [{"size": "1GiB", "cache": "none"}], "iothreads": 1}}}
    plan(host, lab).apply()
    again = copy.deepcopy(lab)
    again["vms"]["u1"] |= {"iothreads": 2, "disks": [{"size": "1GiB", "cache": "writeback"}], "guest_agent": True}
    (found,) = plan(host, again)
    assert (found.action, found.changes) == (
        "differs",
        (("iothreads", 1, 2, "never"), ("disks.0.cache", "none", "writeback", "never")),
    )
    store = LabStore(lambda: default_site().database)
    store.add("unread", dict.fromkeys(store.owned("unread")))
    assert not len(plan(host, again))
    plan(host, {"name": "unread"}, destroy=True).apply()


def test_deletions_need_prune_and_resources_of_others_stay(applied):
    applied.vms.create(name="foreign", metadata={"lab": "web-lab"})
    lab = changed(vms__db=None, volumes=None)
    assert not len(plan(applied, lab))
    found = plan(applied, lab, prune=True)
    assert names(found) == [("delete", "vm", "db"), ("delete", "volume", "data")]
    found.apply()
    assert "db" not in applied.vms
    plan(applied, {"name": "web-lab"}, destroy=True).apply()
    assert {vm.name for vm in applied.vms.list()} == {"vm-00001", "vm-00002", "foreign"}
    assert ("lan" in applied.networks, "labpool" in applied.pools) == (False, False)
    assert not len(plan(applied, {"name": "web-lab"}, destroy=True))


def test_a_vm_that_existed_before_is_changed_but_never_deleted(host):
    lab = {"name": "adopted", "vms": {"vm-00001": {"description": "adopted"}}}
    plan(host, lab).apply()
    assert host.vms["vm-00001"].record.description == "adopted"
    assert not len(plan(host, lab, destroy=True))


def test_drift_is_shown_and_removed(applied):
    applied.vms["db"].update(description="by hand", watchdog=None)
    (found,) = plan(applied)
    assert {field: (old, new) for field, old, new, _ in found.changes} == {"watchdog": (None, "reset")}
    plan(applied).apply()
    assert applied.vms["db"].configuration().fields["watchdog"] == "reset"
    assert applied.vms["db"].record.description == "by hand"  # the file does not say


def test_a_failed_apply_is_undone(host):
    lab = changed(vms__zz={"disks": [{"size": "1GiB", "pool": "nowhere"}]})
    before = {vm.name for vm in host.vms.list()}
    with pytest.raises(NovaCronError):
        plan(host, lab).apply()
    assert {vm.name for vm in host.vms.list()} == before
    assert ("lan" in host.networks, "labpool" in host.pools) == (False, False)
    host.networks.create(name="lan", type="isolated")  # of somebody else
    assert not len(plan(host, {"name": "web-lab"}, destroy=True))
    host.networks.delete("lan")


@pytest.mark.parametrize(
    ("lab", "named"),
    [
        ({}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x", "vm": {}}, "vms"),
        ({"name": "x", "vms": []}, "vms"),
        ({"name": "x", "vms": {"a": {"memry": "1GiB"}}}, "vms.a.memry"),
        ({"name": "x", "vms": {"a": {"cuont": 2}}}, "vms.a.cuont: unknown, allowed: probably count"),
        ({"name": "x", "vms": {"a": {"vcpus": 2, "vcpus_max": 1}}}, "vms.a: got"),
        ({"name": "x", "vms": {"a": {"vcpus": 0}}}, "vms.a.vcpus"),
        ({"name": "x", "vms": {"a": {"name": "b"}}}, "vms.a.name"),
        ({"name": "x", "vms": {"a": {"profile": "p"}}}, "vms.a.profile"),
        (
            {"name": "x", "profiles": {"p": {"profile": "q"}, "q": {"profile": "p"}}, "vms": {"a": {"profile": "p"}}},
            "p -> q -> p",
        ),
        ({"name": "x", "vms": {"a": {"count": -1}}}, "vms.a.count"),
        ({"name": "x", "vms": {"a": {"count": 100_000}}}, "vms.a.count"),
        ({"name": "x", "vms": {"a": {"description": "${nothing}"}}}, "vms.a.description"),
        ({"name": "x", "parameters": {"n": None}, "vms": {}}, "parameters.n"),
        ({"name": "x", "vms": {"a": {"running": "yes"}}}, "vms.a.running"),
        ({"name": "x", "vms": {"a-1": {}, "a": {"count": 1}}}, "a-1"),
        ({"name": "x", "networks": {"n": {"type": "bridged"}}}, "networks.n.bridge"),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_place(lab, named):
    with pytest.raises(InvalidSpecError) as caught:
        Lab.parse(lab)
    assert named in str(caught.value)


def test_an_unknown_parameter_is_refused():
    with pytest.raises(InvalidSpecError, match=r"parameters\.m"):
        Lab.parse(LAB, {"m": 1})


def test_a_description_applied_again_changes_nothing(applied):
    text = json.dumps(describe(applied, name="again"))
    assert not len(plan(applied, json.loads(text))), names(plan(applied, json.loads(text)))


def test_the_schema_accepts_labs_and_refuses_mistakes():
    schema = lab_schema()
    assert accepts(schema, LAB, schema)
    for mistake in ({"name": "x", "vms": {"a": {"memry": 1}}}, {"vms": {}}, {"name": "x", "vms": {"a": {"watchdog": "explode"}}}):
        assert not accepts(schema, mistake, schema), mistake


TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def accepts(schema, value, root):
    """Whether a value fits a JSON Schema, as far as the schemas of specs use it."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        assert name in root["$defs"], name
        return accepts(root["$defs"][name], value, root)
    if "anyOf" in schema:
        return any(accepts(each, value, root) for each in schema["anyOf"])
    kinds = schema.get("type", [])
    if kinds and not any(isinstance(value, TYPES[kind]) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, list):
        return all(accepts(schema.get("items", {}), each, root) for each in value)
    if not isinstance(value, dict):
        return True
    if not set(schema.get("required", ())) <= set(value):
        return False
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, each in value.items():
        rule = known.get(key, others)
        if rule is False or (isinstance(rule, dict) and not accepts(rule, each, root)):
            return False
    return True


@pytest.mark.timeout(600)
def test_an_apply_that_is_killed_at_any_moment_ends_the_same_when_it_is_applied_again(processes, sample):
    chance = random.Random(20261125)
    for number in range(sample(4, 50)):
        with SimServer(["s1"], "?latency=2ms&jitter=2ms") as server:
            host = novacron.connect(server.uris["s1"], name="s1")
            pid = processes.start("apply_lab", server.uris["s1"], "s1", LAB, False)
            changes = chance.randint(0, 8)
            until = time.monotonic() + 60
            while len(server.log) < changes and processes.lives(pid):
                assert time.monotonic() < until
                time.sleep(0.001)
            processes.end(pid)
            plan(host).apply()
            assert not len(plan(host)), (number, names(plan(host)))
            assert {vm.name: vm.status for vm in host.vms} == {"web-1": "running", "web-2": "running", "db": "stopped"}
            found = SecretSearch("lab")
            found.look_at_database(default_site().database.url)
            assert (found.looked_at > 10, found.found) == (True, [])
            plan(host, {"name": "web-lab"}, destroy=True).apply()
            assert (len(host.vms), "lan" in host.networks, "labpool" in host.pools) == (0, False, False)
