"""Checks the results of a driver against the contract, so that defects of drivers are detected where they occur."""

from __future__ import annotations

from typing import Any, get_args

from novacron.errors import DriverError
from novacron.hookspecs.operation import Operation
from novacron.plugins.validation import declared, operations, result_class
from novacron.records.vm import VM, Status

STATUSES = frozenset(get_args(Status))


class ResultCheck:
    """Checks the results of one operation.

    Args:
        driver_name: the driver's name, for errors.
        operation: the operation.
    """

    def __init__(self, driver_name: str, operation: Operation) -> None:
        self._driver_name, self._operation = driver_name, operation
        # the result of a native operation is only known to the driver
        self._class, self._many = result_class(operation.name) if operation.name in operations() else (None, False)

    def __call__(self, result: Any) -> Any:
        """Return the result.

        Raises:
            DriverError: it is None, of a wrong type, or a VM with an unknown status.
        """
        if result is None:
            raise self._error("nothing")
        if self._class is None:
            return result
        if not self._many:
            self._check(result)
        elif isinstance(result, (list, tuple)):
            for item in result:
                self._check(item)
        elif not hasattr(result, "__getitem__") or isinstance(result, (str, bytes, dict)):
            raise self._error(type(result).__name__)
        return result

    def _check(self, item: Any) -> None:
        if not isinstance(item, self._class or object):
            raise self._error(type(item).__name__)
        if isinstance(item, VM) and item.status not in STATUSES:
            raise self._error(f"a VM with the unknown status {str(item.status)[:40]!r}")

    def _error(self, what: str) -> DriverError:
        wanted = declared(self._operation.name, "return") if self._operation.name in operations() else "a value"
        return DriverError(
            f"the driver {self._driver_name!r} answered {self._operation.name} with {what}, not with {wanted}", outcome="unknown"
        )


__all__ = ["ResultCheck"]
