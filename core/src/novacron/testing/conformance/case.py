"""The base of all areas: fixtures and skip rules."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

from novacron.errors import InvalidStateError, UnsupportedOperationError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.plugins.validation import operations
from novacron.records.host import Capabilities
from novacron.testing.target import Target

F = TypeVar("F", bound=Callable[..., Any])


MORE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "vm_delete": {"keep_disks": False, "force": False},
    "vm_shutdown": {"seconds": 1.0, "otherwise": "fail"},
    "vm_clone": {"linked": False},
    "vm_clone_instant": {},
    "vm_get": {},
    "metrics_history": {"seconds": 60.0},
}
"""Arguments, besides the VM, of the operations that tests call for any VM."""


def needs(*names: str) -> Callable[[F], F]:
    """Mark a test of optional operations. It is skipped if the driver lacks one of them. Unknown names raise an error at once."""
    unknown = sorted(set(names) - set(operations()))
    if unknown:
        raise ValueError(f"no such operation: {', '.join(unknown)}")

    def mark(function: F) -> F:
        marked: Any = function
        marked.novacron_needs = names
        return function

    return mark


def skip_unless_offered(capabilities: Capabilities, *names: str) -> None:
    """Skip the running test if an optional operation is not offered. Mandatory operations are never skipped."""
    for name in names:
        if name not in capabilities.operations and not operations()[name].mandatory:
            pytest.skip(f"the driver {capabilities.driver!r} does not offer {name}")


def _skipped_where_limited(test: F) -> F:
    """Skip a test when an optional operation is refused as unsupported, and the driver has declared that limit."""

    @functools.wraps(test)
    def run(self: Conformance, **fixtures: Any) -> None:
        try:
            test(self, **fixtures)
        except UnsupportedOperationError as error:
            name = error.operation or ""
            if name not in self.limits or operations()[name].mandatory:
                raise
            pytest.skip(f"{name} is limited here: {error}; {self.limits[name]}")

    wrapped: Any = run
    return wrapped  # type: ignore[no-any-return]


class Create(Protocol):
    """Creates a VM that is deleted after the test: `create(vcpus=2)`. It gets a unique name unless one is given."""

    def __call__(self, name: str | None = None, **fields: Any) -> VMHandle: ...


class Conformance:
    """The base of every area of the suite. Derive from it for additional tests."""

    limits: dict[str, str] = {}

    def __init_subclass__(cls) -> None:
        for name, test in list(vars(cls).items()):
            if name.startswith("test_"):
                setattr(cls, name, _skipped_where_limited(test))

    @pytest.fixture(autouse=True)
    def _only_what_is_offered(self, request: pytest.FixtureRequest, capabilities: Capabilities) -> None:
        self.limits = capabilities.limits
        skip_unless_offered(capabilities, *getattr(request.function, "novacron_needs", ()))

    @pytest.fixture
    def target(self, novacron_target: Target) -> Target:
        """The target that the author configured."""
        return novacron_target

    @pytest.fixture
    def host(self, target: Target) -> HostHandle:
        """The host under test."""
        return target.host

    @pytest.fixture
    def capabilities(self, host: HostHandle) -> Capabilities:
        """The capabilities of the host."""
        return host.capabilities()

    @pytest.fixture
    def prefix(self) -> str:
        """The prefix of all names in this test, unique for the test."""
        return f"conform-{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def create(self, host: HostHandle, target: Target, prefix: str) -> Iterator[Create]:
        """Creates VMs. Remaining VMs are deleted after the test, including renamed and cloned ones."""
        ids: list[str] = []

        def make(name: str | None = None, **fields: Any) -> VMHandle:
            spec = target.new_vm(name or f"{prefix}-{len(ids)}")
            vm = host.vms.create(spec, **fields) if fields else host.vms.create(spec)
            ids.append(vm.id)
            return vm

        yield make
        for left in host.vms.list():
            if left.name.startswith(prefix) or left.id in ids:
                left.delete(force=True)

    @pytest.fixture
    def vm(self, create: Create) -> VMHandle:
        """A stopped VM."""
        return create()

    @pytest.fixture
    def vm_with_disk(self, create: Create, target: Target) -> VMHandle:
        """A stopped VM, with a disk if the target offers one: some hypervisors store snapshots in the disk."""
        has_disk = target.new_vm("x").disks or target.disk is None
        return create() if has_disk else create(disks=[target.disk])

    @pytest.fixture
    def running(self, vm: VMHandle) -> VMHandle:
        """A running VM."""
        return vm.start()


def bring(vm: VMHandle, status: str) -> VMHandle:
    """Set the status of a stopped VM with the driver's own operations."""
    if status != "stopped":
        vm.start()
    if status == "suspended":
        vm.suspend()
    if status == "saved":
        vm.save()
    if vm.status != status:
        raise InvalidStateError(f"{vm.name!r} should be {status}, it is {vm.status}", resource=vm.name)
    return vm


__all__ = ["MORE_ARGUMENTS", "Conformance", "Create", "bring", "needs", "skip_unless_offered"]
