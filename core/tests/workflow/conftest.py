"""Two simulated hosts, a running VM and a step that can be undone, for the tests of workflows."""

import pytest

import novacron
from novacron.workflow import step


@pytest.fixture
def hosts():
    """Return {name: host} of two connected hosts."""
    with novacron.connect("sim://wf1", name="wf1") as first, novacron.connect("sim://wf2", name="wf2") as second:
        yield {"wf1": first, "wf2": second}


@pytest.fixture
def vm(hosts):
    return hosts["wf1"].vms.create(name="web1", memory="64MiB", start=True)


@step
def mark(context, name):
    """mark the VM"""
    context.do("vm_update", changes=novacron.VMUpdate(metadata={name: "yes"}))
    return {"name": name}


@mark.undo
def unmark(context, result):
    """take the mark away"""
    context.do("vm_update", changes=novacron.VMUpdate(metadata={result["name"]: None}))


@pytest.fixture(name="mark")
def mark_step():
    """The step that marks a VM. Its undo takes the mark away."""
    return mark
