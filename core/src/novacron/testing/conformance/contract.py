"""A driver offers exactly the operations that it declares."""

from __future__ import annotations

import pytest

from novacron.errors import UnsupportedOperationError
from novacron.handles.host import HostHandle
from novacron.plugins.validation import check_driver, operations
from novacron.testing.conformance.case import Conformance


class TestContract(Conformance):
    """Capabilities and hooks."""

    def test_driver_fits_the_contract(self, host: HostHandle) -> None:
        """Every hook is known, with known arguments; nothing mandatory is missing."""
        check_driver(host.driver_name, host.dispatcher.driver.parts)

    def test_capabilities_are_what_the_hooks_are(self, host: HostHandle) -> None:
        """`supports()` and the capabilities agree on every operation of the contract."""
        capabilities = host.capabilities()
        assert set(capabilities.operations) == {name for name in operations() if host.supports(name)}
        assert (capabilities.host, capabilities.driver) == (host.name, host.driver_name)
        assert set(capabilities.limits) <= set(operations()), "limits are named by operations"
        assert all(capabilities.limits.values()), "each limit says why"

    @pytest.mark.parametrize("operation", [name for name, spec in operations().items() if spec.mandatory])
    def test_mandatory_operation_is_offered(self, host: HostHandle, operation: str) -> None:
        """The driver offers each mandatory operation."""
        assert host.supports(operation)
        assert operation not in host.capabilities().limits

    def test_what_is_not_offered_is_refused_before_it_is_sent(self, host: HostHandle) -> None:
        """UnsupportedOperationError names the driver, and the hint what it offers instead."""
        for operation, spec in operations().items():
            if not host.supports(operation):
                with pytest.raises(UnsupportedOperationError, match=host.driver_name) as caught:
                    host.invoke(operation, **dict.fromkeys(a for a in spec.arguments if a != "job"))
                assert (caught.value.operation, caught.value.host, caught.value.outcome) == (operation, host.name, "not_sent")
                assert caught.value.hint

    def test_unknown_operation_is_refused(self, host: HostHandle) -> None:
        """A misspelt operation is an unknown operation, not one that the driver lacks."""
        for ask in (host.supports, host.invoke):
            with pytest.raises(UnsupportedOperationError, match="no operation 'vm_strat'"):
                ask("vm_strat")


__all__ = ["TestContract"]
