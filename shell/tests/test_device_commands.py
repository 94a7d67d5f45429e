"""`novacron device`: list, attach, detach."""

import itertools
import json

import pytest
from click.testing import CliRunner

from novacron_shell.cli import cli

WORLDS = itertools.count()


@pytest.fixture
def novacron():
    name = f"device-commands-{next(WORLDS)}"

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, ["-c", f"sim://{name}?vms=2", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_devices_are_listed_attached_and_detached(novacron):
    listed = json.loads(novacron("device", "list", "--usb", "-o", "json").stdout)
    assert [device["id"] for device in listed] == ["046d:c52b", "0951:1666"]
    assert len(json.loads(novacron("device", "list", "--pci", "-o", "json").stdout)) == 3
    assert "0000:03:00.0" in novacron("device", "attach", "vm-00001", "pci=03:00.0").stderr
    assert "vm-00001" in novacron("device", "list").stdout
    assert "--yes" in novacron("device", "detach", "vm-00001", "03:00.0", code=2).stderr
    assert "no device" in novacron("device", "detach", "vm-00001", "03:00.0", "--yes").stderr
    assert "vm-00001" not in novacron("device", "list").stdout


@pytest.mark.parametrize(("device", "kind"), [("03:00.0", "pci"), ("046d:c52b", "usb")])
def test_a_device_is_attached_by_its_address_alone(novacron, device, kind):
    """The kind is seen from the form of the address."""
    novacron("device", "attach", "vm-00001", device)
    (owned,) = [each for each in json.loads(novacron("device", "list", "-o", "json").stdout) if each["vms"]]
    assert owned["kind"] == kind
