"""What tests of fleets do again and again. They have a fixture `site` of their own."""

import uuid

import pytest

from novacron.drivers.sim import world


@pytest.fixture
def add(site):
    """Return a function that adds a simulated host with 64 CPUs to the group "prod", and returns its handle."""

    def make(name, **settings):
        machine = f"{name}-{uuid.uuid4().hex[:8]}"
        site.fleet.add(name, f"sim://{machine}")
        site.fleet.nodes.refresh([name])
        site.fleet.nodes.set(name, **({"group": "prod", "vcpus_ratio": 1} | settings))
        host = site.fleet.hosts[name]
        host.world = world(machine)
        return host

    return make
