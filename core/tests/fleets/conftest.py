"""What tests of fleets do again and again. They have a fixture `site` of their own."""

import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from failover_rack import Rack, watch

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


@pytest.fixture
def installed(tmp_path):
    """Return a function that installs a package of one module, as pip does it, runs a script in a new process, and returns its output."""

    def run(name, module, script):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(module))
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[novacron]\n{name} = {name}\n")
        begin = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nstate = {str(tmp_path / 'state')!r}\n"
        command = [sys.executable, "-c", begin + textwrap.dedent(script)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    return run


@pytest.fixture
def racks(tmp_path, monkeypatch):
    """Return a function that makes a rack of simulated hosts with power. Afterwards no VM may ever have run twice."""
    made, seen = [], []

    def make(names="abc", **settings):
        rack = Rack(tmp_path / f"state{len(made)}", names, **settings)
        made.append(rack)
        seen.append(watch(rack, monkeypatch))
        return rack

    yield make
    for rack in made:
        rack.close()
    assert all(not each for each in seen), seen


@pytest.fixture
def rack(racks):
    return racks()
