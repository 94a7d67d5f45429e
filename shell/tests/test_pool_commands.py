"""`novacron pool`: which free space the lists show."""

import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron import errors
from novacron.drivers import sim
from novacron_shell.cli import cli


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))
    for name in ("pool-commands", "pool-commands-2"):
        api.fleet().add(name, f"sim://{name}")
    yield sim.world("pool-commands")
    api.fleet().hosts.close()
    for name in ("pool-commands", "pool-commands-2"):
        sim.forget(name)


def pools(*arguments):
    done = CliRunner().invoke(cli, ["pool", *arguments, "-o", "json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout), done.stderr


def test_a_list_refreshes_pools_only_if_asked(world):
    world.faults.add("pool_refresh", error=errors.BusyError("somebody copies a volume"))
    assert len(pools("list")[0]) == 2
    listed, said = pools("list", "--refresh")
    assert len(listed) == 2, "a pool that can't be refreshed is listed as it was"
    assert said.splitlines() == ["default could not be refreshed: somebody copies a volume on pool-commands"]


def test_a_stopped_pool_is_not_refreshed(world):
    world.pools["default"].active = False
    listed, said = pools("list", "--refresh", "--host", "pool-commands")
    assert [each["active"] for each in listed] == [False]
    assert not said


def test_show_refreshes_if_asked(world):
    world.faults.add("pool_refresh", error=errors.BusyError("somebody copies a volume"))
    assert pools("show", "default", "--host", "pool-commands")[0]["name"] == "default"
    done = CliRunner().invoke(cli, ["pool", "show", "default", "--refresh", "--host", "pool-commands"])
    assert isinstance(done.exception, errors.BusyError)
