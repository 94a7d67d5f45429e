"""`novacron explain`, and `host use`."""

import pytest
from click.testing import CliRunner

import novacron as api
from novacron import specs
from novacron.errors import HostNotFoundError
from novacron_shell.cli import cli


@pytest.fixture
def novacron(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_STATE", str(tmp_path / "state"))

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_each_spec_and_field_is_explained(novacron):
    listed = {line.split()[0] for line in novacron("explain").stdout.splitlines()}
    assert {"VMSpec", "DiskSpec", "VMUpdate"} <= listed
    for name in listed:
        text = novacron("explain", name).stdout
        assert all(f"  {field}" in text for field in getattr(specs, name).model_fields), name


def test_a_field_has_its_values_default_and_drivers(novacron):
    text = novacron("explain", "watchdog").stdout
    assert "VMSpec.watchdog: Literal['reset'" in text
    assert "VMUpdate.watchdog" in text
    assert "drivers: kvm, sim" in text
    assert "vmware" in novacron("explain", "VMSpec.vcpus").stdout
    assert "DiskSpec" not in novacron("explain", "VMSpec.vcpus").stdout
    assert "did you mean 'watchdog'" in novacron("explain", "wachdog", code=2).stderr


def test_a_host_is_used_until_another_one_is_named(novacron):
    fleet = api.fleet()
    for name in ("use-a", "use-b"):
        fleet.add(name, f"sim://{name}?vms=1&prefix={name}-", replace=True)
    try:
        assert len(novacron("vm", "list", "-o", "name").stdout.split()) >= 2
        novacron("host", "use", "use-a")
        assert novacron("host", "use").stdout.strip() == "use-a"
        assert novacron("vm", "list", "-o", "name").stdout.split() == ["use-a-00001"]
        assert novacron("vm", "list", "--host", "use-b", "-o", "name").stdout.split() == ["use-b-00001"]
        assert isinstance(novacron("host", "use", "nowhere", code=1).exception, HostNotFoundError)
        novacron("host", "use", "--all")
        assert novacron("host", "use").stdout.strip() == "all"
        novacron("host", "use", "use-b")
        novacron("host", "remove", "use-b")
        assert novacron("host", "use").stdout.strip() == "all"
    finally:
        for name in ("use-a", "use-b"):
            if name in {host.name for host in fleet.list()}:
                fleet.remove(name)
