"""The CPU model of a VM as its own EVC mode: the CPU features that the guest sees, whichever node it runs on.

This needs vSphere 6.7 and virtual hardware 14. The masks are those that the vCenter has for the mode.
Source: the vSphere Web Services API, `ApplyEvcModeVM_Task`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import InvalidSpecError, SpecProblem, UnsupportedOperationError

if TYPE_CHECKING:
    from novacron_vmware.connection import VMwareConnection


def problem_of_model(connection: VMwareConnection, model: str) -> SpecProblem | None:
    """Return why a VM can't have a CPU model; None if it can."""
    known = connection.evc_modes
    if model in known:
        return None
    allowed = f"an EVC mode: {', '.join(sorted(known))}" if known else "no model: only a vCenter has EVC modes"
    return SpecProblem("cpu_model", model, allowed)


def apply_model(connection: VMwareConnection, vm: Any, model: str | None, name: str) -> None:
    """Give a stopped VM the CPU features of an EVC mode; None gives it those of the node that it runs on."""
    mask = list(connection.evc_modes[model].featureMask or ()) if model else []
    connection.wait(vm.ApplyEvcModeVM_Task(mask, True), resource=name)


def model_of(connection: VMwareConnection, masks: Sequence[Any] | None) -> str | None:
    """Return the EVC mode whose masks a VM has; None if it has none, or masks of its own."""
    if not masks:
        return None
    own = _values(masks)
    return next((key for key, mode in connection.evc_modes.items() if _values(mode.featureMask or ()) == own), None)


def lowest_mode(connection: VMwareConnection, keys: Sequence[str]) -> Any:
    """Return the lowest of several EVC modes.

    Raises:
        InvalidSpecError: the vCenter does not know a mode.
        UnsupportedOperationError: they are of different vendors.
    """
    if problems := [problem for key in keys if (problem := problem_of_model(connection, key)) is not None]:
        raise InvalidSpecError("unknown EVC mode", problems=problems)
    modes = [connection.evc_modes[key] for key in keys]
    if len(vendors := sorted({mode.vendor for mode in modes})) > 1:
        raise UnsupportedOperationError(
            f"CPUs of different vendors have no EVC mode in common: {', '.join(vendors)}", host=connection.name
        )
    return min(modes, key=lambda mode: mode.vendorTier)


def _values(masks: Sequence[Any]) -> dict[str, str]:
    return {mask.featureName or mask.key: mask.value for mask in masks}


__all__ = ["apply_model", "lowest_mode", "model_of", "problem_of_model"]
