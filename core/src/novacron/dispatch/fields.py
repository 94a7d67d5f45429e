"""Rejects spec fields that the driver does not support, before the driver is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import UNSUPPORTED, InvalidSpecError, SpecProblem
from novacron.hookspecs.operation import Operation
from novacron.plugins.fields import FieldTable, unsupported


class FieldPolicy:
    """Compares every spec with the fields that the driver declares in `DriverProvider.fields`.

    A given field that is not declared is rejected, even with its default value: a driver that ignores a field can't promise the default
    either.

    Args:
        driver_name: the driver's name, for the error.
        table: the declared fields.
        reasons: why other fields are not supported, by "VMSpec.field".
    """

    stage = "access"

    def __init__(self, driver_name: str, table: FieldTable, reasons: Mapping[str, str] | None = None) -> None:
        self._driver_name, self._table, self._reasons = driver_name, table, reasons or {}

    def applies(self, operation: Operation) -> bool:
        """Return whether the operation can have a spec as an argument."""
        return not operation.reads or "spec" in operation.arguments

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Reject the call, or continue with it.

        Raises:
            InvalidSpecError: names every unsupported field of every spec. Outcome: not sent.
        """
        name = call.operation.name
        problems = [
            SpecProblem(each.path, UNSUPPORTED, self._reasons.get(each.field, "no value"))
            for value in call.arguments.values()
            if hasattr(type(value), "model_fields")
            for each in unsupported(self._table, name, value)
        ]
        if problems:
            raise InvalidSpecError(
                f"the driver {self._driver_name!r} does not support {len(problems)} of the given fields",
                problems=problems,
                outcome="not_sent",
                hint="leave these fields out; docs/operations.md lists the fields that each driver supports",
            )
        return proceed(call)


__all__ = ["FieldPolicy"]
