"""The lock policy: one changing operation per VM at a time, first come, first served. The error names the holder."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from novacron.dispatch.call import Call, held_locks
from novacron.errors import BusyError, OperationCancelledError
from novacron.hookspecs.operation import Operation

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


_SHARED = re.compile(rf"{_UUID.pattern}|(network|filter|template|alarm) .+")
"""The resources that are also locked against other processes: those with a UUID, and others by kind and name."""


class SharedLocks(Protocol):
    """Locks that other processes see too."""

    def hold(self, key: str, remaining: Callable[[], float], refuse: Callable[[], BaseException]) -> AbstractContextManager[None]:
        """Hold a lock during the block; `refuse` returns the error to raise when no time remains."""


class _Queue:
    """The holder of a lock and the calls that wait for it, in order."""

    __slots__ = ("holder", "since", "waiting")

    def __init__(self) -> None:
        self.holder: Call | None = None
        self.since = 0.0
        self.waiting: deque[Call] = deque()


class _Held:
    """A lock that a block of code holds: its key, and the key of the queue of the operations of that block."""

    __slots__ = ("key", "queue")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.queue = (f"{key[0]} of {id(self)}", key[1])


class LockPolicy:
    """Serialises operations that lock the same resource. A call waits until its deadline, then raises BusyError.

    A VM, network or traffic filter is locked by its UUID, independent of the name that the caller uses for it or for its host. Short
    changes, which read a definition and write it back, also lock against other processes that use the same state directory or the same
    PostgreSQL database.

    Args:
        shared: locks shared with other processes and machines, taken in this order; without any the policy is of this process only.
    """

    stage = "lock"

    def __init__(self, *shared: SharedLocks) -> None:
        self._shared = shared
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._held: set[_Held] = set()
        self._deferred: dict[tuple[str, str], Callable[[], None]] = {}
        self._changed = threading.Condition()

    def applies(self, operation: Operation) -> bool:
        """Return whether the operation locks a resource."""
        return operation.locks is not None

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        key = key_of(call.host, call.locked or "")
        queue = self._acquire(key, call)
        try:
            if call.operation.long or queue != key or not _SHARED.fullmatch(key[1]):
                return proceed(call)
            with self._across_processes(key[1], call):
                return proceed(call)
        finally:
            self._release(queue)

    @contextmanager
    def hold(self, call: Call) -> Iterator[None]:
        """Hold the lock of a resource during the block. Operations of the block may use the resource, all others wait.

        If a job that the block started still runs at the end of the block, the lock is released when the job ends.

        Args:
            call: a call that names the resource, the holder and the deadline until which to wait for the lock.

        Raises:
            BusyError: another operation held the lock until the deadline.
        """
        key = key_of(call.host, call.locked or "")
        if self._queue_of(key, call) != key:  # the caller holds it already
            yield
            return
        with ExitStack() as undo:
            self._acquire(key, call)
            undo.callback(self._release, key)
            if _SHARED.fullmatch(key[1]):
                undo.enter_context(self._across_processes(key[1], call))
            held = _Held(key)
            self._held.add(held)
            token = held_locks.set((*call.held, held))
            try:
                yield
            finally:
                held_locks.reset(token)
                self._end(held, undo.pop_all().close)

    @contextmanager
    def exclusive(self, key: str, timeout: float = 30.0) -> Iterator[None]:
        """Hold a lock that is of no VM against other threads, processes and machines during the block.

        Args:
            key: what is locked, such as "settings of nodes".
            timeout: longest time to wait, in seconds.

        Raises:
            BusyError: another one held the lock for all of that time.
        """
        deadline = time.monotonic() + timeout
        busy = BusyError(f"another process changes the {key}", resource=key, hint="try again", outcome="not_sent")
        with ExitStack() as held:
            for locks in self._shared:
                held.enter_context(locks.hold(key, lambda: deadline - time.monotonic(), lambda: busy))
            yield

    @contextmanager
    def _across_processes(self, identity: str, call: Call) -> Iterator[None]:
        """Hold the lock of a VM against other processes and machines."""
        with ExitStack() as held:
            for locks in self._shared:
                held.enter_context(locks.hold(identity, call.remaining, lambda: _held_elsewhere(call)))
            yield

    def _end(self, held: _Held, release: Callable[[], None]) -> None:
        """Call `release` now, or after the last operation that still uses the lock."""
        with self._changed:
            self._held.discard(held)
            if held.queue in self._queues:
                self._deferred[held.queue] = release
                return
        release()

    def _queue_of(self, key: tuple[str, str], call: Call) -> tuple[str, str]:
        """Return the key of the queue for a call. If the caller holds the lock, its operations only wait for each other."""
        return next((held.queue for held in self._held.intersection(call.held) if held.key == key), key)

    def holder(self, host: str, resource: str) -> str | None:
        """Return a description of the holder of a resource; None if it is not locked."""
        with self._changed:
            queue = self._queues.get(key_of(host, resource))
            return _describe(queue) if queue and queue.holder else None

    def _acquire(self, key: tuple[str, str], call: Call) -> tuple[str, str]:
        """Wait for the lock, and return the key of the queue in which the call got it."""
        with self._changed:
            key = self._queue_of(key, call)
            queue = self._queues.setdefault(key, _Queue())
            queue.waiting.append(call)
            try:
                while queue.holder is not None or queue.waiting[0] is not call:
                    remaining = call.remaining()
                    if remaining <= 0:
                        raise BusyError(
                            f"{call.resource!r} is held by {_describe(queue)}",
                            hint="wait for it to end, cancel it, or use a longer timeout",
                            outcome="not_sent",
                        )
                    if call.job is not None and call.job.cancel_asked:
                        raise OperationCancelledError(f"{call.operation.name} was cancelled while it waited", outcome="not_sent")
                    self._changed.wait(min(remaining, 0.25))
                queue.holder, queue.since = call, time.monotonic()
            finally:
                queue.waiting.remove(call)
                self._changed.notify_all()
        return key

    def _release(self, key: tuple[str, str]) -> None:
        with self._changed:
            queue = self._queues[key]
            queue.holder = None
            release = None
            if not queue.waiting:
                del self._queues[key]
                release = self._deferred.pop(key, None)
            self._changed.notify_all()
        if release is not None:
            release()


def key_of(host: str, resource: str) -> tuple[str, str]:
    """Return the key of a resource: only the UUID for VMs, so that two names of one host share the lock; otherwise host and name."""
    return ("", resource.lower()) if _UUID.fullmatch(resource) else (host, resource)


def _held_elsewhere(call: Call) -> BusyError:
    return BusyError(
        f"{call.resource!r} is held by another process",
        hint="wait for it to end, or use a longer timeout",
        outcome="not_sent",
    )


def _describe(queue: _Queue) -> str:
    if queue.holder is None:
        return "an operation that is about to begin"
    seconds = time.monotonic() - queue.since
    return f"{queue.holder.operation.name} by {queue.holder.actor}, for {seconds:.0f} s"


__all__ = ["LockPolicy", "key_of"]
