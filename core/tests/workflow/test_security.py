"""A flow file and a stored flow are data: they name registered steps, flows and functions, and nothing else is found or imported."""

import json
import sys

import pytest
import sqlalchemy as sa
import yaml

from novacron import Site, errors
from novacron.store.tables import runs
from novacron.workflow import Workflow, function, step, steps
from novacron.workflow.loading import load_code

ATTACKS = [
    "os:system",
    "posix:system",
    "builtins:eval",
    "builtins:exec",
    "subprocess:run",
    "subprocess:Popen.__init__",
    "os.path:os.system",
    "novacron.workflow.loading:load_code",
    f"{__name__}:undeclared",
    f"{__name__}:Holder.inside",
    f"{__name__}:alias",
    "os",
    ":system",
    "os:",
    "__main__:__builtins__",
    "antigravity:fly",
]
CALLED = []


def undeclared(value):
    CALLED.append(value)
    return value


@function
def allowed(value):
    return {"seen": value}


@step
def inner(context):
    return "inner"


class Holder:
    inside = inner


alias = inner


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path / "state", actor="ann") as made:
        yield made


def flow_file(**parts):
    return yaml.safe_load(yaml.safe_dump({"format": 1, "name": "bad", "flow": parts}))


def all_forms(name):
    body = {"step": "tag", "add": ["x"]}
    yield flow_file(node="then", body=body, function=name)
    yield flow_file(node="when", body=body, function=name)
    yield flow_file(node="step", kind=name, arguments={})


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_can_name_only_what_is_registered(site, name):
    """The plan has a problem or the flow is refused, nothing is called, nothing is imported, and the VM stays as it was."""
    before = set(sys.modules)
    vm = site.connect("sim://attacked").vms.create(name="web1") if "web1" not in site.connect("sim://attacked").vms else None
    vm = vm or site.connect("sim://attacked").vms["web1"]
    for stored in all_forms(name):
        flow = Workflow.from_dict(stored)
        flow.tree(), flow.mermaid(), repr(flow)
        if "'" not in flow.tree() and stored["flow"]["node"] != "step":
            assert name in str(flow.plan(vm))
        with pytest.raises(errors.NovaCronError):
            flow.run(vm)
        with pytest.raises(errors.NovaCronError):
            site.fleet.runs.submit(flow, [vm])
        with pytest.raises(errors.NovaCronError):
            site.fleet.schedules.add("s", flow, cron="* * * * *", vms=[vm])
    assert vm.refresh().tags == frozenset()
    assert CALLED == []
    assert "antigravity" not in sys.modules
    assert not {new for new in set(sys.modules) - before if not new.startswith(("novacron", "sqlalchemy"))} & {"antigravity"}


@pytest.mark.parametrize("name", ["Workflow", "default_kinds", "_step", "__getattr__", "annotations", "timedelta", "os.system"])
def test_a_step_for_short_is_no_attribute_of_the_module(name):
    with pytest.raises(errors.WorkflowError, match="there is no step"):
        Workflow.from_dict(flow_file(step=name))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_flow_in_the_database_that_somebody_changed_calls_nothing(site, name):
    """Resuming is refused, the list still works, and a worker ends the run as failed."""
    vm = site.connect("sim://database").vms.create(name=f"vm{ATTACKS.index(name)}")
    run_id = site.fleet.runs.submit(steps.tag("x"), [vm])
    bad = next(all_forms(name))
    with site.database.transaction() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(flow=bad))
    assert site.fleet.runs.list()[0].id == run_id
    site.engine.work_on(1)
    record = site.fleet.runs.wait(run_id, 20)
    assert record.status in ("undone", "failed")
    assert "is not registered" in str(record)
    assert CALLED == []


def test_what_is_declared_is_found_and_the_plan_names_it_and_its_calls_are_audited(site):
    name = f"{__name__}:allowed"
    host = site.connect("sim://declared")
    vm = host.vms.create(name="web1")
    flow = Workflow.from_dict(flow_file(node="then", body={"node": "step", "kind": f"{__name__}:inner"}, function=name))
    text = str(flow.plan(vm))
    assert name in text
    assert f"calls     {__name__}:inner" in text
    assert flow.run(vm).result() == {"seen": "inner"}
    lines = [json.loads(line) for line in (site.state / "audit.jsonl").read_text().splitlines()]
    called = [line for line in lines if line["operation"] == "flow_function"]
    assert [line["arguments"]["function"] for line in called] == [f"{__name__}:inner", name]
    assert {(line["actor"], line["resource"], line["outcome"]) for line in called} == {("ann", "web1", "done")}


def test_an_operator_loads_a_file_with_code(site, tmp_path, monkeypatch):
    name = "operators_code"
    (tmp_path / f"{name}.py").write_text(
        "from novacron.workflow import step\n@step\ndef hello(context):\n    return 'hello'\n"
        "@step(name='short_hello')\ndef other(context):\n    return 'short'\n"
    )
    vm = site.connect("sim://loaded").vms.create(name="web1")
    stored = flow_file(node="sequence", nodes=[{"node": "step", "kind": f"{name}:hello"}, {"step": "short_hello"}])
    with pytest.raises(errors.WorkflowError, match="there is no step"):
        Workflow.from_dict(stored)
    load_code(str(tmp_path / f"{name}.py"))
    try:
        assert Workflow.from_dict(stored).run(vm).result() == "short"
    finally:
        del sys.modules[name]
    for bad in (str(tmp_path / "none.py"), "no.such.module"):
        with pytest.raises(errors.PluginError):
            load_code(bad)
    (tmp_path / "json.py").write_text("")
    with pytest.raises(errors.PluginError, match="already"):
        load_code(str(tmp_path / "json.py"))


def test_a_function_that_is_not_declared_runs_here_but_is_not_stored(site):
    vm = site.connect("sim://here").vms.create(name="web1")
    flow = steps.tag("x").then(lambda result: "local")
    assert flow.run(vm).result() == "local"
    with pytest.raises(errors.WorkflowError, match="can't be stored"):
        steps.tag("x").then(undeclared).as_dict()


@pytest.mark.parametrize(
    ("flow", "said"),
    [
        (None, "mapping"),
        ([], "mapping"),
        ("text", "mapping"),
        ({"format": 1}, "flow"),
        ({"format": 1, "flow": None}, "flow"),
        ({"format": 1, "flow": {"node": "parallel", "nodes": []}}, "at least one"),
        ({"format": 1, "flow": {"node": "sequence", "nodes": []}}, "at least one"),
        ({"format": 1, "flow": {"node": "retry", "body": {"step": "start"}, "attempts": 0}}, "attempts"),
        ({"format": 1, "flow": {"node": "retry", "body": {"step": "start"}, "delay": -1}}, "delay"),
        ({"format": 1, "flow": {"node": "timeout", "body": {"step": "start"}, "seconds": 0}}, "seconds"),
        ({"format": 1, "flow": {"node": "each", "body": {"step": "start"}, "vms": [], "max_parallel": 1}}, "vms"),
        (
            {
                "format": 1,
                "flow": {"node": "each", "body": {"step": "start"}, "vms": [{"host": "a", "id": "b"}], "max_parallel": 0},
            },
            "max",
        ),
        ({"format": 1, "flow": {"node": "when", "body": {"step": "start"}, "facts": {"colour": "red"}}}, "colour"),
        ({"format": 1, "flow": {"node": "when", "body": {"step": "start"}}}, "facts"),
        ({"format": 1, "flow": {"node": "on_failure", "body": {"step": "start"}, "action": "otherwise"}}, "otherwise"),
        ({"format": 1, "flow": {"node": "retry", "body": {"step": "start"}, "atempts": 2}}, "atempts"),
        ({"format": 1, "flow": {"step": "start"}, "nmae": "x"}, "nmae"),
        ({"format": 1, "flow": {"node": "step", "kind": "start", "name": "no name"}}, "named"),
    ],
)
def test_a_malformed_file_is_refused_before_the_run(flow, said):
    with pytest.raises(errors.WorkflowError, match=said) as refused:
        Workflow.from_dict(flow)
    assert refused.value.hint


def test_a_file_that_is_nested_without_end_is_refused():
    flow = {"step": "start"}
    for _ in range(3000):
        flow = {"node": "retry", "body": flow, "attempts": 2}
    with pytest.raises(errors.WorkflowError):
        Workflow.from_dict({"format": 1, "flow": flow})
