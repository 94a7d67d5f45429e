"""The area of vSphere's native operations, and the base class of the objects that implement them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from novacron.errors import NotFoundError, UnsupportedOperationError
from novacron.plugins import NativeArea
from novacron_vmware.errors import translated
from novacron_vmware.sdk import vim

if TYPE_CHECKING:
    from collections.abc import Callable

    from novacron.jobs import Job
    from novacron_vmware.connection import VMwareConnection

vsphere = NativeArea("vsphere")


class NativeOperations:
    """Native operations of one kind on one connection; a kind is a subclass."""

    def __init__(self, connection: VMwareConnection) -> None:
        self._connection = connection

    def _find(self, kind: Any, text: str, noun: str) -> Any:
        """Return the object of a kind that a name, inventory path or id names. Raises NotFoundError, InvalidSpecError."""
        connection = self._connection
        known = connection.collect(kind, ["name"])
        if isinstance(connection.root, kind) and connection.root != connection.content.rootFolder:
            known.append((connection.root, connection.read(connection.root, ["name"])))
        return connection.finder.find(kind, text, noun=noun, error=NotFoundError, among=known)

    def _any(self, text: str) -> Any:
        """Return an object of any kind that has a name: a VM, host, folder, datastore, network, pool or datacenter."""
        if text in ("", "/"):
            return self._connection.root
        return self._find(vim.ManagedEntity, text, "object")

    def _manager(self, name: str, what: str) -> Any:
        """Return one of the server's managers. Raises UnsupportedOperationError where the server, a single ESXi, has none."""
        manager = getattr(self._connection.content, name, None)
        if manager is None:
            raise UnsupportedOperationError(f"a single ESXi has no {what}", outcome="not_sent", hint="connect to its vCenter")
        return manager

    def _require_version(self, version: str, what: str) -> None:
        """Raise UnsupportedOperationError when the server's API is older than a version, such as "7.0.3"."""
        theirs = self._connection.content.about.apiVersion
        if _numbers(theirs) < _numbers(version):
            raise UnsupportedOperationError(
                f"{what} need version {version} of vSphere's API; the server has {theirs}",
                outcome="not_sent",
                hint="upgrade the vCenter, or do it in another way",
            )

    def _path(self, thing: Any) -> str:
        """Return an object's inventory path, "/" for the root folder."""
        return str(self._connection.finder.paths([thing]).get(thing, "/"))

    def _run(self, resource: str, begin: Callable[[], Any], job: Job[Any] | None = None) -> Any:
        """Begin one of vSphere's tasks, wait for it and return its result. Faults become NovaCron's errors."""
        with translated(resource):
            return self._connection.wait(begin(), resource=resource, job=job)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


__all__ = ["NativeOperations", "vsphere"]
