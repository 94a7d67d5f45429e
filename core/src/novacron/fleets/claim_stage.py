"""The stage of the dispatcher that claims capacity. Where no node is managed it costs nothing, and imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from novacron.dispatch.call import Call
from novacron.hookspecs.operation import Operation
from novacron.store.managed import ManagedNodes

if TYPE_CHECKING:
    from novacron.fleets.claims import ClaimPolicy, Invoke


class ClaimStage:
    """Passes operations that change something to the claim policy of their connection, if the capacity of any node is managed.

    Args:
        managed: whether the capacity of any node is managed.
        make: returns the policy, given a function that calls operations of the connection. It is called at the first use.
    """

    stage = "claim"

    def __init__(self, managed: ManagedNodes, make: Callable[[Invoke], ClaimPolicy]) -> None:
        self._managed, self._make = managed, make
        self._invoke: Invoke | None = None
        self._policy: ClaimPolicy | None = None

    def attach(self, invoke: Invoke) -> None:
        """Give the stage the operations of its connection. It is called once, after the connection was made."""
        self._invoke = invoke

    def applies(self, operation: Operation) -> bool:
        """Return whether the operation may change what a VM takes."""
        return not operation.reads

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        if self._invoke is None or not self._managed:
            return proceed(call)
        if self._policy is None:
            self._policy = self._make(self._invoke)
        return self._policy(call, proceed)


__all__ = ["ClaimStage"]
