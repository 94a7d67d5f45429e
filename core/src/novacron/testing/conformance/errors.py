"""All drivers report errors in the same way."""

from __future__ import annotations

import json
import pickle  # nosec B403 - reads only what it wrote itself
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from novacron import errors
from novacron.errors import NovaCronError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, Create

FAILURES: dict[str, Callable[[HostHandle, VMHandle, Create], Any]] = {
    "unknown VM": lambda host, vm, create: host.vms["conform-nobody"],
    "unknown UUID": lambda host, vm, create: host.invoke("vm_start", vm=str(uuid.uuid4())),
    "started twice": lambda host, vm, create: vm.start() and vm.start(),
    "stopped twice": lambda host, vm, create: vm.stop(),
    "deleted while it runs": lambda host, vm, create: vm.start() and vm.delete(),
    "name taken": lambda host, vm, create: create(vm.name),
    "UUID taken": lambda host, vm, create: create(id=vm.id),
}


class TestErrors(Conformance):
    """Every error can be understood by itself, and is true."""

    @pytest.mark.parametrize("failure", FAILURES)
    def test_error_says_all_it_should(self, host: HostHandle, vm: VMHandle, create: Create, failure: str) -> None:
        """The error is of the documented class and has operation, host, resource, outcome and a hint."""
        with pytest.raises(NovaCronError) as caught:
            FAILURES[failure](host, vm, create)
        error = caught.value
        assert type(error) not in (NovaCronError, errors.DriverError), "it is of the family that fits"
        assert error.operation in host.capabilities().operations
        assert error.host == host.name
        assert error.resource
        assert error.outcome in ("failed", "not_sent"), "nothing was in flight, so the outcome is known"
        assert error.hint, "what to do next"

    @pytest.mark.parametrize("failure", FAILURES)
    def test_message_reads_well_alone(self, host: HostHandle, vm: VMHandle, create: Create, failure: str) -> None:
        """The message is one line without a full stop, and names the resource."""
        with pytest.raises(NovaCronError) as caught:
            FAILURES[failure](host, vm, create)
        text = str(caught.value)
        assert text
        assert "\n" not in text
        assert not text.endswith(".")
        assert any(name in text for name in (vm.name, vm.id, str(caught.value.resource)))

    def test_error_can_be_stored_and_sent(self, host: HostHandle) -> None:
        """The error can be sent as JSON and pickled."""
        with pytest.raises(NovaCronError) as caught:
            host.vms["conform-nobody"]
        assert json.loads(json.dumps(caught.value.as_dict()))["error"] == "VMNotFoundError"
        copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
        assert (type(copy), str(copy), copy.hint) == (type(caught.value), str(caught.value), caught.value.hint)


__all__ = ["TestErrors"]
