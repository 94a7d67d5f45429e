"""`novacron monitor` and `novacron alert` from the command line, over simulated hosts."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.drivers import sim
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def world():
    """A host of the fleet with two VMs."""
    name = f"monitor-{next(WORLDS)}"
    api.fleet().add(name, f"sim://{name}?vms=2")
    yield name
    api.fleet().remove(name)
    sim.forget(name)


@pytest.fixture
def novacron(world):
    """Return a function that runs a command."""

    def run(*arguments, exit_code=0):
        done = CliRunner().invoke(cli, [*arguments])
        assert done.exit_code == exit_code, (done.output, done.exception)
        return done

    run.json = lambda *arguments: json.loads(run(*arguments, "-o", "json").stdout)
    return run


def test_metrics_are_listed(novacron):
    listed = {one["name"]: one for one in novacron.json("monitor", "metrics")}
    assert listed["novacron_vm_cpu_seconds_total"]["kind"] == "counter"


def test_values_now(novacron, world):
    (one,) = novacron.json("monitor", "now", "novacron_host_vms", "--label", f"host={world}")
    assert one["value"] == 2
    assert len(novacron("monitor", "now", "novacron_vm_running").stdout.splitlines()) == 3


def test_values_are_collected_and_pushed(novacron, world):
    novacron("monitor", "put", "queue_length", "3", "queue=mail")
    done = novacron("monitor", "collect", "--count", "1")
    assert "collecting" in done.stderr
    assert CliRunner().invoke(cli, ["monitor", "put", "queue length", "3"]).exit_code != 0
    assert novacron.json("monitor", "query", "queue_length", "--since", "5m")[0]["points"][-1][1] == 3
    assert "queue=mail" in novacron("monitor", "query", "queue_length", "--step", "1m").stdout


def test_the_exporter_is_served_and_described(novacron, world):
    done = novacron("monitor", "serve", "--listen", "127.0.0.1:0", "--count", "1")
    assert "listening on http://127.0.0.1:" in done.stderr
    assert '"monitor" "serve" "--listen" "[::1]:9177"' in novacron("monitor", "unit", "--", "--listen", "[::1]:9177").stdout
    assert CliRunner().invoke(cli, ["monitor", "serve", "--listen", "0.0.0.0:0", "--count", "1"]).exit_code != 0
