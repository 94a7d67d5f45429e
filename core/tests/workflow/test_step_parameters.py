"""Every parameter of every built-in step can be given: in Python, in a file, and on the command line."""

import datetime
import inspect
from contextlib import nullcontext

import pytest

import novacron
from novacron.drivers.sim import world
from novacron.errors import HostConnectionError, InvalidSpecError
from novacron.specs import MigrationSpec, SnapshotSpec, VMUpdate
from novacron.workflow import Workflow, steps
from novacron.workflow.kinds import default_kinds
from novacron.workflow.kinds.operation import OperationStep

SAMPLES = {
    "to": "b",
    "name": "n1",
    "prefix": "p",
    "pool": "fast",
    "command": "true",
    "timeout": "1m",
    "otherwise": "stop",
    "within": "1m",
    "check": "true",
    "linked": True,
    "children": True,
    "last": 1,
    "hourly": 1,
    "daily": 1,
    "weekly": 1,
    "timezone": "Europe/Berlin",
    "remove": ["r"],
    "add": ["a"],
    "disks": ["vda"],
}
SPECS = {"snapshot": SnapshotSpec, "migrate": MigrationSpec, "update": VMUpdate}


def fields(spec):
    """Return a value for each field of a spec that a default or an annotation suggests."""
    samples = {"name": "n1", "kind": "external", "node": "n", "storage": "copy", "description": "d", "tags": ["t"]}
    for name, field in spec.model_fields.items():
        if name in samples and field.annotation is not bool:
            yield name, samples[name]
        elif field.annotation is bool:
            yield name, not field.default


@pytest.mark.parametrize("kind", steps.__all__)
def test_every_parameter_of_a_step_can_be_given(kind):
    function = getattr(steps, kind)
    known = inspect.signature(function).parameters
    parameters = known.values()
    named = {p.name: SAMPLES[p.name] for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    many = [SAMPLES[p.name] for p in parameters if p.kind is p.VAR_POSITIONAL]
    for name, value in [(None, None), *(fields(SPECS[kind]) if kind in SPECS else [])]:
        given = named | ({} if name is None else {name: value})
        first = [given[p.name] for p in parameters if many and p.kind is p.POSITIONAL_OR_KEYWORD]
        by_name = {key: value for key, value in given.items() if not (many and known[key].kind.name == "POSITIONAL_OR_KEYWORD")}
        made = function(*first, *(many[0] if many else ()), **by_name)
        in_file = {"step": kind, **given} | ({p.name: SAMPLES[p.name] for p in parameters if p.kind is p.VAR_POSITIONAL})
        assert Workflow.from_dict({"format": 1, "flow": in_file}).node == made.node
        if name is not None and kind != "update":
            assert name in str(made.node)


@pytest.mark.parametrize("kind", [k for k in default_kinds().names() if isinstance(default_kinds().find(k), OperationStep)])
def test_no_argument_of_an_operation_is_named_like_one_of_ours(kind):
    operation = default_kinds().find(kind)
    for clash in ("kind", "name", "node", "step", "arguments", "self", "text"):
        if clash in operation.arguments:
            others = [name for name in operation.arguments if name != clash]
            with pytest.raises(novacron.NovaCronError) if others else nullcontext() as refused:
                getattr(steps, kind)(**{clash: "x"})
            assert f"{clash}: got" not in str(refused), "only the others are missing"


def test_a_kind_and_a_name_reach_the_snapshot_from_the_command_line():
    from novacron_shell.commands.flows import compose

    made = compose(("snapshot:name=e1,kind=external", "migrate:to=b,node=n1"))
    assert made.node.nodes[0].arguments["kind"] == "external"
    assert made.node.nodes[1].arguments["options"]["node"] == "n1"


@pytest.mark.parametrize(
    "make", [lambda: steps.run_in_guest("true"), lambda: steps.guest_exec(argv=["true"], stdin="", seconds=5)]
)
def test_a_program_in_the_guest_whose_connection_breaks_has_an_unknown_outcome(make):
    with novacron.connect("sim://broken-guest") as host:
        vm = host.vms.create(name=f"vm{id(make)}", memory="64MiB", start=True)
        world("broken-guest").faults.add("guest_exec", error=HostConnectionError("the line broke"), when="after")
        run = make().run(vm)
        assert run.status == "failed"
        assert "whether it happened is not known" in str(run.exception())
        assert "nothing was changed" not in str(run.exception())


OF_AN_OPERATION = {
    "nic-attach:spec.network=default,spec.mtu=1400": {"spec": {"network": "default", "mtu": 1400}},
    "disk-attach:spec.size=1GiB,spec.limits.read_iops=100": {"spec": {"size": 2**30, "limits": {"read_iops": 100}}},
    "disk-detach:disk=vda,delete=false": {"disk": "vda", "delete": False},
    "disk-resize:disk=vda,size=10GiB": {"disk": "vda", "size": 10 * 2**30},
    "memory-set:size=512MiB,live=false,persistent=true": {"size": 512 * 2**20, "live": False, "persistent": True},
    "pinning-set:pinning.0=0-1,live=false,persistent=true": {"pinning": {"0": "0-1"}, "live": False, "persistent": True},
    "guest-exec:argv=uname -a,stdin=,seconds=1m": {"argv": ["uname", "-a"], "stdin": "", "seconds": 60.0},
    "console-send-keys:keys=a,b": {"keys": ["a", "b"]},
    "update:tags=a,b,topology.cores=2,metadata.my-key=v": {
        "tags": ["a", "b"],
        "topology": {"cores": 2},
        "metadata": {"my-key": "v"},
    },
    "tag:add=a,b,remove=c": {"add": ["a", "b"], "remove": ["c"]},
    "migrate-storage:pool=fast,disks=vda,vdb": {"pool": "fast", "disks": ["vda", "vdb"]},
}


@pytest.mark.parametrize("text", OF_AN_OPERATION)
def test_a_step_gets_values_of_the_right_types_from_the_command_line(text):
    from novacron_shell.commands.flows import compose

    assert compose((text,)).node.arguments == OF_AN_OPERATION[text]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("snapshot", "name is missing"),
        ("stop:force=1", "it has no force; it has no arguments"),
        ("shutdown:5m", "'5m' has no name: give timeout, otherwise by name"),
        ("disk-detach:disk=vda,delete=no", "delete: got 'no', allowed: true or false"),
        ("memory-set:size=64,live=false,persistent=true", "size: got '64', allowed: a size with its unit"),
        ("update:memory=64", "64 has no unit"),
        ("disk-attach:spec=5GiB", "allowed: fields with values"),
        ("nic-attach:network=default", "spec: missing, allowed: fields of NICSpec, each as spec.FIELD"),
        ("resource:kind=pool", "a step that a lab is composed of"),
    ],
)
def test_what_a_step_can_not_be_given_is_refused_in_the_words_of_its_parameters(text, words):
    import click

    from novacron_shell.commands.flows import compose

    with pytest.raises((click.ClickException, novacron.NovaCronError)) as refused:
        compose((text,))
    error = refused.value
    said = error.format_message() if isinstance(error, click.ClickException) else str(error)
    assert words in said
    assert "positional" not in said
    assert "keyword" not in said


def test_a_plan_knows_the_names_of_the_vms_that_it_creates():
    host = novacron.connect("sim://planned-names")
    first, second = (host.vms.create(name=name) for name in ("w1", "w2"))
    twice = steps.clone("copy") >> steps.vm_rename(name="copy")
    assert list(twice.plan(first).problems) == [
        "step 2, vm_rename(name='copy'): an earlier step creates a VM 'copy' on planned-names"
    ]
    (problem,) = steps.clone("copy").plan([first, second]).problems
    assert "an earlier step creates a VM 'copy'" in problem
    assert steps.vm_rename(name="w2").plan(first).problems
    assert steps.vm_rename(name="w3").plan(first).ok


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"step": "snapshot", "name": 7}, "name: got '7', allowed: text; YAML needs quotes"),
        ({"step": "snapshot", "name": datetime.date(2026, 1, 1)}, "name: got '2026-01-01', allowed: text"),
        ({"step": "tag", "add": True}, "allowed: text"),
        ({"step": "clone", "name": "c", "linked": 5}, "linked: got '5', allowed: true or false"),
        ({"step": "healthy", "check": 5}, "a value has a wrong type"),
        ({"step": "migrate", "to": 5}, "a value has a wrong type"),
        ({"step": "disk_resize", "disk": "vda", "size": 1.5}, "size: got '1.5', allowed: a size"),
    ],
)
def test_a_value_of_another_type_in_a_file_is_an_error_of_the_file(step, words):
    with pytest.raises(novacron.NovaCronError) as refused:
        Workflow.from_dict({"format": 1, "flow": step})
    assert words in str(refused.value)


def test_a_command_whose_quotation_is_not_closed_is_refused_by_name():
    with pytest.raises(InvalidSpecError, match=r"argv: got .*allowed: a list of texts"):
        steps.guest_exec(argv="echo 'a", stdin="", seconds=5)
