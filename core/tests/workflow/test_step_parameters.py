"""Every parameter of every built-in step can be given: in Python, in a file, and on the command line."""

import inspect
from contextlib import nullcontext

import pytest

import novacron
from novacron.drivers.sim import world
from novacron.errors import HostConnectionError
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
