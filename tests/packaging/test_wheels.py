"""What people install is whole: each wheel alone, all of them together, and a driver from elsewhere beside them."""

from __future__ import annotations

import re
import textwrap
import zipfile
from pathlib import Path

import pytest

import novacron.testing

pytestmark = [pytest.mark.packaging, pytest.mark.slow]

HERE = Path(__file__).parent


def documented_example() -> str:
    """The test module that `novacron.testing` shows to authors of drivers."""
    paragraphs = (novacron.testing.__doc__ or "").split("\n")
    return textwrap.dedent("\n".join(line for line in paragraphs if line.startswith("    ") or not line))


def test_core_alone_simulates(installed):
    """`pip install novacron` brings no SDK, no terminal library, no test tool, and a host to try."""
    core = installed("novacron")
    core.execute("""
import sys
import novacron
host = novacron.connect("sim://x")
vm = host.vms.create(name="web1", memory="64MiB").start()
assert vm.status == "running", vm
vm.delete(force=True)
host.close()
strangers = {"libvirt", "lxml", "pyVmomi", "rich", "ptpython", "click", "pytest", "hypothesis"} & set(sys.modules)
assert not strangers, strangers
""")
    there = core.execute("from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))").split()
    assert not {"libvirt-python", "pyvmomi", "rich", "pytest"} & set(there)
    origin = core.execute("from importlib.metadata import distribution as d; print(d('novacron').read_text('direct_url.json'))")
    assert "file://" in origin, "it is the wheel that was built here"


def test_core_alone_tells_what_to_install(installed):
    """The URI of a known driver names the pip command."""
    told = installed("novacron").execute("""
import novacron
for uri in ("qemu:///system", "vsphere://vc", "esx://h"):
    try:
        novacron.connect(uri)
    except novacron.NovaCronError as error:
        print(error.hint)
""")
    assert told.split("\n") == ["pip install novacron-kvm", "pip install novacron-vmware", "pip install novacron-vmware"]


SMOKE = {
    "novacron-kvm": "import novacron; assert novacron.connect('test:///default').vms.list().total == 1",
    "novacron-vmware": """
import novacron
from novacron.plugins.discovery import DriverRegistry
provider_for = DriverRegistry().provider_for
assert provider_for("vsphere") is provider_for("esx")
try:
    novacron.connect("esx://root@127.0.0.1:1", password="x", timeout=60)
except novacron.errors.HostConnectionError as error:
    assert error.outcome == "not_sent"
""",
    "novacron-shell": "import novacron_shell.main",
    "novacron-lab": "from novacron_lab import Lab; assert Lab",
}


@pytest.mark.parametrize("distribution", SMOKE)
def test_each_distribution_works_with_what_it_declares(installed, distribution):
    """Nothing is needed that it does not say it needs."""
    installed(distribution).execute("import novacron, novacron.errors\n" + SMOKE[distribution])


def test_shell_alone_drives_the_simulator(installed):
    """The command is there and speaks JSON."""
    shell = installed("novacron-shell")
    assert "0.1.0" in shell.novacron("--version")
    assert shell.novacron_json("-c", "sim://x", "vm", "list") == []


def test_extras_install_all_of_it(installed):
    """`pip install novacron[kvm,vmware,shell,lab]`: every scheme is served by one distribution."""
    everything = installed("novacron[kvm,vmware,shell,lab]")
    drivers = {p["name"]: p["distribution"] for p in everything.novacron_json("plugin", "list") if p["kind"] == "driver"}
    assert drivers["sim"] == "novacron"
    assert drivers["qemu"] == drivers["qemu+ssh"] == drivers["test"] == "novacron-kvm"
    assert drivers["vsphere"] == drivers["esx"] == "novacron-vmware"
    assert len(everything.novacron_json("-c", "test:///default", "vm", "list")) == 1


def test_wheels_are_typed_and_clean(wheels):
    """Each carries `py.typed`, and neither tests nor caches."""
    ours = [wheel for wheel in wheels.glob("*.whl") if "acme" not in wheel.name]
    assert len(ours) == 5
    for wheel in ours:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert any(name.endswith("/py.typed") for name in names), wheel.name
        assert not [n for n in names if "/tests/" in n or n.startswith("tests/") or "__pycache__" in n], wheel.name


@pytest.fixture(scope="module")
def acme(installed):
    return installed("novacron[testing]", "novacron-shell", "novacron-acme")


def test_external_driver_is_small():
    """A driver is 60 lines, blank ones not counted."""
    lines = (HERE / "external_driver" / "novacron_acme.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 60


def test_external_driver_is_listed(acme):
    """It is found by its entry point alone."""
    (found,) = [p for p in acme.novacron_json("plugin", "list") if p["name"] == "acme"]
    assert (found["kind"], found["distribution"], found["version"]) == ("driver", "novacron-acme", "1.0")
    assert found["error"] is None


def test_external_driver_is_driven_from_the_api(acme):
    """As any other."""
    acme.execute("""
import novacron
host = novacron.connect("acme://x")
vm = host.vms.create(name="web1", memory="1GiB", tags={"web"})
assert vm.start().status == "running"
assert [v.name for v in host.vms.list(tag="web", status="running")] == ["web1"]
assert not host.supports("snapshot_create") and host.supports("vm_stop")
assert vm.delete(force=True).name == "web1"
""")


def test_external_driver_is_driven_from_the_command_line(acme):
    """As any other."""
    assert acme.novacron_json("-c", "acme://x", "vm", "list") == []
    made = acme.novacron_json("-c", "acme://x", "vm", "create", "web1", "--memory", "1GiB")
    assert (made["name"], made["host"], made["memory_bytes"]) == ("web1", "x", 2**30)


def test_external_driver_passes_the_conformance_suite(acme, tmp_path):
    """With `novacron[testing]` and the module that its documentation shows, as it stands there."""
    module = tmp_path / "test_acme.py"
    module.write_text(documented_example())
    report = acme.pytest(module)
    passed = re.search(r"(\d+) passed", report)
    assert passed, report
    assert int(passed[1]) >= 75, report
    reasons = [line for line in report.splitlines() if line.startswith("SKIPPED")]
    assert all("does not offer" in line or "no disk" in line or "does not tell" in line for line in reasons), reasons
