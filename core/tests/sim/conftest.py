"""Two simulated hosts, and what tests of theirs do again and again."""

import pytest

import novacron


@pytest.fixture(autouse=True)
def state(own_state):
    """Each test has a state directory of its own."""


@pytest.fixture
def a():
    with novacron.connect("sim://a") as host:
        yield host


@pytest.fixture
def b():
    with novacron.connect("sim://b") as host:
        yield host


@pytest.fixture
def make():
    """Return a function that creates a VM."""

    def make(host, name="web1", **fields):
        return host.vms.create(name=name, **({"memory": "1GiB"} | fields))

    return make


@pytest.fixture
def volumes():
    """Return a function that names all volumes of a host."""
    return lambda host: [volume.name for pool in host.pools.list() for volume in host.pools.volumes(pool.name)]
