"""Two simulated hosts and a running VM, for the tests of workflows."""

import pytest

import novacron


@pytest.fixture
def hosts():
    """Return {name: host} of two connected hosts."""
    with novacron.connect("sim://wf1", name="wf1") as first, novacron.connect("sim://wf2", name="wf2") as second:
        yield {"wf1": first, "wf2": second}


@pytest.fixture
def vm(hosts):
    return hosts["wf1"].vms.create(name="web1", memory="64MiB", start=True)
