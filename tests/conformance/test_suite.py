"""The suite itself: an honest driver passes, and each kind of dishonesty is caught by the test that is named for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ACME = Path(__file__).parents[1] / "packaging" / "external_driver"

MODULE = """
import sys
sys.path.insert(0, {acme!r})
import pytest
from novacron import connect, errors
from novacron.plugins import Driver, DriverProvider, hookimpl
from novacron.site import default_site
from novacron.records import Capabilities, Deleted
from novacron.testing import Target
from novacron.testing.conformance import *
from novacron_acme import FIELDS, AcmeHost

class Faulty(AcmeHost):
    pass
{fault}

@pytest.fixture(scope="session")
def novacron_target():
    provider = DriverProvider(
        name="acme", schemes=["faulty{number}"], connect=lambda uri, context: Driver([Faulty(context.name, uri.text)]),
        fields=lambda: FIELDS,
    )
    default_site().drivers.register(provider)
    with connect("faulty{number}://lab") as host:
        yield Target(host)
    default_site().drivers.unregister(provider)
"""

FAULTS = {
    "stop only says that it stopped": (
        """
    @hookimpl
    def vm_stop(self, vm):
        return self._become(vm, "running", "running").replace(status="stopped")
""",
        "test_start_and_stop_are_seen_by_everyone",
    ),
    "delete keeps the VM": (
        """
    @hookimpl
    def vm_delete(self, vm):
        found = self.vm_get(vm)
        return Deleted(name=found.name, id=found.id)
""",
        "test_deleted_vm_is_gone",
    ),
    "an SDK's error comes through": (
        """
    @hookimpl
    def vm_get(self, vm):
        return self.vms[vm] if vm in self.vms else next(v for v in self.vms.values() if v.name == vm)
""",
        "test_unknown_vm_is_not_found",
    ),
    "a field of a new VM is dropped": (
        """
    @hookimpl
    def vm_create(self, spec):
        return super().vm_create(spec.model_copy(update={"tags": frozenset()}))
""",
        "test_no_field_is_dropped",
    ),
    "a field is declared and dropped": (
        """
FIELDS = FIELDS | {"VMSpec": FIELDS["VMSpec"] + " watchdog"}
""",
        "test_no_field_is_dropped",
    ),
    "errors without a hint": (
        """
    def _become(self, vm, before, after):
        try:
            return super()._become(vm, before, after)
        except errors.InvalidStateError as error:
            error.hint = None
            raise
""",
        "test_error_says_all_it_should",
    ),
    "start is accepted in every state": (
        """
    @hookimpl
    def vm_start(self, vm):
        return self._become(vm, self.vm_get(vm).status, "running")
""",
        "test_wrong_state_is_refused_and_nothing_changes",
    ),
    "a failed creation leaves the VM": (
        """
    @hookimpl
    def vm_create(self, spec):
        made = super().vm_create(spec.model_copy(update={"disks": (), "nics": (), "memory": min(spec.memory, 2**30)}))
        if spec.disks or spec.nics:
            raise errors.ResourceAllocationError("no room", hint="make some")
        return made
""",
        "test_failed_creation_leaves_nothing",
    ),
    "a field of another type": (
        """
    @hookimpl
    def host_info(self):
        return super().host_info().replace(cpus="eight")
""",
        "test_records_of_the_host_are_plain_and_typed",
    ),
    "ids that are no UUIDs": (
        """
    @hookimpl
    def vm_create(self, spec):
        made = super().vm_create(spec)
        self.vms[spec.name] = self.vms.pop(made.id).replace(id=spec.name)
        return self.vms[spec.name]
""",
        "test_identity_and_time_have_one_form",
    ),
    "a mandatory operation declared limited": (
        """
    @hookimpl
    def host_capabilities(self):
        return Capabilities(host=self.name, driver="acme", operations=(), limits={"vm_stop": "not today"})
""",
        "test_mandatory_operation_is_offered",
    ),
    "an operation that is there only by name": (
        """
    @hookimpl
    def vm_suspend(self, vm):
        self.vm_get(vm)
        raise errors.UnsupportedOperationError("not implemented", hint="wait for the next release")
""",
        "test_suspended_vm_can_be_stopped",
    ),
}


def suite(pytester: pytest.Pytester, fault: str = "", only: str = "test_") -> pytest.RunResult:
    pytester.makepyfile(test_faulty=MODULE.format(acme=str(ACME), fault=fault, number=0))
    return pytester.runpytest_subprocess("-q", "-rfEs", "-p", "no:cacheprovider", "-k", only)


def failed(result: pytest.RunResult) -> set[str]:
    lines = [line for line in result.outlines if line.startswith(("FAILED", "ERROR"))]
    return {line.split("::")[-1].split(" - ")[0].split("[")[0] for line in lines}


def test_an_honest_driver_passes(pytester):
    """The smallest driver, in 55 lines, with nothing optional."""
    result = suite(pytester)
    assert failed(result) == set()
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] > 75


ONE_TEST_OF_EACH = """
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if item.name.partition("[")[0] == item.module.CAUGHT_BY]
"""


@pytest.fixture(scope="module")
def caught(tmp_path_factory):
    """The tests that fail for each fault. One process runs them all: it takes longer to start than the tests do."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "conftest.py").write_text(ONE_TEST_OF_EACH)
    for number, (code, caught_by) in enumerate(FAULTS.values()):
        module = MODULE.format(acme=str(ACME), fault=code, number=number)
        (folder / f"test_fault_{number}.py").write_text(f"{module}\nCAUGHT_BY = {caught_by!r}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return {
        fault: {line.split("::")[-1].split("[")[0] for line in lines if line.startswith(f"test_fault_{number}.py::")}
        for number, fault in enumerate(FAULTS)
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_dishonesty_is_caught_by_name(caught, fault):
    _, caught_by = FAULTS[fault]
    assert caught_by in caught[fault]


def test_a_declared_limit_is_skipped_with_its_reason(pytester):
    """What the driver says that it can't do here is shown, not failed."""
    fault = """
    @hookimpl
    def vm_suspend(self, vm):
        self.vm_get(vm)
        raise errors.UnsupportedOperationError("the clock can't be halted", hint="stop it")

    @hookimpl
    def host_capabilities(self):
        return Capabilities(host=self.name, driver="acme", operations=(), limits={"vm_suspend": "ACME 1.0 can't"})
"""
    result = suite(pytester, fault, "test_suspended_vm_can_be_stopped")
    assert "test_suspended_vm_can_be_stopped" not in failed(result)
    assert any("vm_suspend is limited here" in line and "ACME 1.0 can't" in line for line in result.outlines)
