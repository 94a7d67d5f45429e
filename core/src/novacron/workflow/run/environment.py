"""What the engine provides to the runs that it conducts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from novacron.workflow.hosts import Hosts
from novacron.workflow.nodes import VMRef
from novacron.workflow.run.slots import Slots

Record = Callable[[str, VMRef, BaseException | None, float], object]
"""Puts a call of a function on record: its name, the VM, how it failed, and how many seconds it took."""


class Environment(msgspec.Struct, frozen=True):
    """The hosts that a run deals with, the limit of migrations, and where calls of functions are recorded."""

    hosts: Hosts
    slots: Slots
    record: Record = lambda name, vm, error, seconds: None

    @contextmanager
    def recorded(self, function: str | None, vm: VMRef) -> Iterator[None]:
        """Record a call of a function when the block ends; nothing if there is no function."""
        began, failure = time.monotonic(), None
        try:
            yield
        except BaseException as error:
            failure = error
            raise
        finally:
            if function is not None:
                self.record(function, vm, failure, time.monotonic() - began)


__all__ = ["Environment", "Record"]
