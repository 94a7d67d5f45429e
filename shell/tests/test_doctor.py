"""`novacron doctor`: for this machine, the fleet, one host or VMs."""

import itertools
import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.drivers import sim
from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def name(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    found = f"doctor-{next(WORLDS)}"
    api.fleet().add(found, f"sim://{found}?vms=3&prefix=web-")
    yield found
    api.fleet().hosts.close()


def doctor(*arguments, code=0):
    done = CliRunner().invoke(cli, ["doctor", *arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def test_all_of_the_fleet_and_this_machine(name):
    checks = {each["check"] for each in json.loads(doctor("--all", "-o", "json").stdout)}
    assert {"state directory", "driver", "storage", "network"} <= checks


def test_a_healthy_host_prints_a_summary_only(name):
    done = doctor(name)
    assert done.stdout == ""
    assert "0 problems, 0 warnings" in done.stderr


def test_a_problem_is_the_exit_code_and_has_its_hint(name):
    sim.world(name).pools["default"].active = False
    done = doctor(name, "web-00001", code=1)
    assert done.stdout.splitlines()[1].startswith("problem")  # problems come first
    assert "novacron pool start default" in done.stderr


def test_vms_by_pattern(name):
    found = json.loads(doctor("web-*", "--all", "-o", "json").stdout)
    assert len({each["subject"] for each in found}) == 3


def test_a_host_that_can_not_be_reached(name):
    sim.world(name).disconnect()
    done = doctor(name, code=1)
    assert "can't be reached" in done.stdout
