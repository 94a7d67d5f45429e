"""What tests of several files with real hosts share."""

import uuid

import pytest


@pytest.fixture
def lan(lab_hosts):
    """Return a function that makes a network; gone at the end."""
    host, made = lab_hosts[0], []

    def make(name="lan", **fields):
        network = host.networks.create(name=f"{name}-{uuid.uuid4().hex[:4]}", **fields)
        made.append(network.name)
        return network

    yield make
    for name in made:
        if name in [n.name for n in host.networks.list()]:
            host.networks.delete(name)
