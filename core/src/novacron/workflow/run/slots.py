"""How much workflows do to a host at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle
    from novacron.workflow.context import Context

POLL = 0.3


@contextmanager
def migrating(context: Context, *hosts: HostHandle) -> Iterator[None]:
    """Wait until none of the hosts has as many migrations under way as `fleet().settings["migrations_per_host"]` says, and be one.

    The limit is for the workflows of all processes of the state database; who is waited for is reported. Raises when cancelled.
    """
    from novacron.store.movings import MovingStore
    from novacron.workflow.run.durable import durable_engine, patiently

    engine = durable_engine()
    store, moving, process = MovingStore(), uuid.uuid4().hex, engine.launch().id
    named = {host.uri: host.name for host in hosts}
    while full := patiently(store.take)(moving, context.ref.name or context.ref.id, named, process, set(engine.alive())):
        context.report(f"waits: {full}")
        context.wait(POLL)
    try:
        yield
    finally:
        patiently(store.release)(moving)


__all__ = ["migrating"]
