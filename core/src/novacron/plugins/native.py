"""Native operations: what one product alone has, such as vSphere's folders, resource pools and content libraries.

Operations of the contract mean the same on every driver. A driver declares its native operations on its area classes:

    folders = NativeArea("vsphere")

    class VSphereFolders:
        @folders.operation(kind="change")
        def folder_create(self, path: str) -> Folder: ...

The operation is then called "vsphere.folder_create". It has the same audit, access policies, deadlines, locks and argument checks as an
operation of the contract. `host.supports("vsphere.folder_create")` finds it, and is False on drivers without it. The API is
`host.native.folder_create(...)`, the command `novacron vsphere folder create`, made from the signature and the docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeVar

from novacron.errors import PluginError
from novacron.hookspecs.operation import Operation

F = TypeVar("F", bound=Callable[..., Any])


class NativeArea:
    """Declares the native operations of one driver.

    Args:
        name: the first part of their names, and the name of the command group; the driver's first URI scheme.

    Example:
        >>> area = NativeArea("toy")
        >>> class Toys:
        ...     @area.operation(kind="read")
        ...     def toy_list(self, path: str = "/") -> list[str]:
        ...         "List the toys."
        ...         return [path]
        >>> [(operation.name, operation.defaults) for operation in native_operations([Toys])]
        [('toy.toy_list', {'path': '/'})]
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def operation(
        self,
        *,
        kind: Literal["read", "change", "job"],
        idempotent: bool | None = None,
        locks: str | None = None,
        destroys: bool = False,
        timeout: float | None = None,
    ) -> Callable[[F], F]:
        """Mark a method as a native operation.

        Args:
            kind: "read" changes nothing, "change" changes something, "job" is a long change that gets an argument `job`.
            idempotent: it may be repeated after a lost connection; by default only reads are.
            locks: the argument that names the VM, or another thing of this kind, which it locks.
            destroys: something is lost by it, so the command asks before.
            timeout: default deadline in seconds.
        """

        def mark(function: F) -> F:
            parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
            marked: Any = function
            marked.native_operation = Operation(
                name=f"{self.name}.{function.__name__}",
                area=self.name,
                arguments=tuple(parameter.name for parameter in parameters),
                idempotent=kind == "read" if idempotent is None else idempotent,
                reads=kind == "read",
                long=kind == "job",
                locks=locks,
                timeout=timeout if timeout is not None else 3600.0 if kind == "job" else 60.0,
                summary=(function.__doc__ or "").partition("\n")[0],
                types={parameter.name: str(parameter.annotation) for parameter in parameters},
                defaults={p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty},
                destroys=destroys,
            )
            return function

        return mark


def native_methods(part: object) -> Iterator[tuple[Operation, Callable[..., Any]]]:
    """Yield the native operations of an area object or class, with their methods."""
    kind = part if isinstance(part, type) else type(part)
    for name in dir(kind):
        operation = getattr(inspect.getattr_static(kind, name, None), "native_operation", None)
        if operation is not None:
            yield operation, getattr(part, name)


def native_operations(areas: Iterable[type]) -> list[Operation]:
    """Return the native operations of area classes, sorted by name."""
    return sorted((operation for area in areas for operation, _ in native_methods(area)), key=lambda each: each.name)


def native_table(driver_name: str, parts: Iterable[object]) -> dict[str, tuple[Operation, Callable[..., Any]]]:
    """Return the native operations of a connection by name. Raises PluginError when two methods declare the same one."""
    found: dict[str, tuple[Operation, Callable[..., Any]]] = {}
    for part in parts:
        for operation, method in native_methods(part):
            if operation.name in found:
                raise PluginError(f"driver {driver_name!r} implements {operation.name} twice, also in {type(part).__name__}")
            found[operation.name] = operation, method
    return found


__all__ = ["NativeArea", "native_methods", "native_operations", "native_table"]
