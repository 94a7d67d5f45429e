"""Metrics that take many calls: snapshots of each VM, certificates, and workflow runs. They are read in the background, once in a while."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from novacron.errors import NovaCronError
from novacron.monitoring import builtin
from novacron.monitoring.collector import AskedFleet
from novacron.plugins.driver import HostURI
from novacron.records.series import MetricDefinition, Sample
from novacron.records.snapshots import Snapshot
from novacron.specs.query import VMQuery
from novacron.threads import in_thread

EVERY = 900.0
"""Seconds between two inspections."""
PER_HOST = 120.0
"""Seconds that one host may take."""
TLS_PORTS = {"qemu+tls": 16514, "vsphere": 443}


class Inspection:
    """A source of metrics that reads slowly and answers at once with what it read last.

    Args:
        fleet: the hosts.
        runs: returns the workflow runs.
        every: seconds between two inspections.
    """

    name = "inspection"

    def __init__(self, fleet: AskedFleet, runs: Callable[[], Any], every: float = EVERY) -> None:
        self._fleet, self._runs, self._every = fleet, runs, every
        self._found: list[Sample] = []
        self._next = 0.0
        self._under_way: Future[None] | None = None

    def definitions(self) -> Sequence[MetricDefinition]:
        """Return nothing: the metrics are built-in ones."""
        return ()

    def collect(self) -> Sequence[Sample]:
        """Return the runs as they are now, and the rest as it was read last."""
        if time.monotonic() >= self._next and (self._under_way is None or self._under_way.done()):
            self._next = time.monotonic() + self._every
            self._under_way = in_thread(self.refresh, "novacron-inspection")
        return [*self._found, *self._run_samples()]

    def refresh(self) -> None:
        """Read snapshots and certificates now."""
        names = [host.name for host in self._fleet.list()]
        answers = self._fleet.ask(names, _snapshots, timeout=PER_HOST, limit=16)
        found = [sample for answer in answers if answer.error is None for sample in answer.value]
        self._found = [*found, *self._certificates()]

    def _run_samples(self) -> list[Sample]:
        found = []
        try:
            records = self._runs().list(limit=200)
        except NovaCronError:
            return []
        for run in records:
            if run.status == "failed":
                found.append(Sample(metric=builtin.OWN["run_needs_person"].name, value=1.0, labels={"run": run.id}))
            elif run.ended_at is None:
                age = max(0.0, time.time() - run.created_at)
                found.append(Sample(metric=builtin.OWN["run_age"].name, value=age, labels={"run": run.id}))
        return found

    def _certificates(self) -> list[Sample]:
        places = [(host.name, HostURI.parse(host.uri)) for host in self._fleet.list()]
        found = []
        for name, uri in places:
            port = uri.port or TLS_PORTS.get(uri.scheme)
            if uri.scheme not in TLS_PORTS or uri.host is None or port is None:
                continue
            expiry = certificate_expiry(uri.host, port)
            if expiry is not None:
                found.append(Sample(metric=builtin.OWN["certificate"].name, value=expiry, labels={"host": name}))
        return found


def _snapshots(host: Any) -> list[Sample]:
    found = []
    for vm in host.invoke("vm_list", query=VMQuery()):
        try:
            snapshots: list[Snapshot] = host.invoke("snapshot_list", vm=vm.id)
        except NovaCronError:
            continue
        labels = {"vm": vm.id, "name": vm.name}
        values = {"snapshots": float(len(snapshots)), "chain": float(chain_length(snapshots))}
        if snapshots:
            values["oldest"] = min(datetime.fromisoformat(one.created_at).timestamp() for one in snapshots)
        found += [Sample(metric=builtin.SLOW[field].name, value=value, labels=labels) for field, value in values.items()]
    return found


def chain_length(snapshots: Sequence[Snapshot]) -> int:
    """Return the length of the longest chain of external snapshots: each of them adds a file to the backing chain of the disks.

    Example:
        >>> common = {"vm": "1", "host": "a", "created_at": "", "status": "running", "kind": "external"}
        >>> chain_length([Snapshot(name="a", **common), Snapshot(name="b", parent="a", **common)])
        2
    """
    parents = {one.id or one.name: (one.parent_id or one.parent, one.kind) for one in snapshots}
    longest = 0
    for start in parents:
        length, place, seen = 0, start, set()
        while place in parents and place not in seen:
            seen.add(place)
            parent, kind = parents[place]
            length += kind == "external"
            place = parent or ""
        longest = max(longest, length)
    return longest


def certificate_expiry(host: str, port: int, timeout: float = 5.0) -> float | None:
    """Return when the TLS certificate of a server expires, in seconds since 1970; None if it can't be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only the date is read, nothing is sent
    try:
        with socket.create_connection((host, port), timeout) as raw, context.wrap_socket(raw, server_hostname=host) as connection:
            certificate = connection.getpeercert(binary_form=True)
    except (OSError, ssl.SSLError):
        return None
    return None if certificate is None else not_after(certificate)


def not_after(certificate: bytes) -> float:
    """Return the end of a certificate's validity from its DER form, in seconds since 1970."""
    (_, inner), *_ = _elements(certificate)
    (_, signed), *_ = _elements(inner)
    fields = [field for field in _elements(signed) if field[0] != 0xA0]  # without the version
    validity = fields[3][1]
    kind, text = _elements(validity)[1]
    written = text.decode()
    if kind == 0x17:  # two digits of the year: RFC 5280 counts from 1950 to 2049
        written = ("19" if written[:2] >= "50" else "20") + written
    return datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return type and content of each element of a DER sequence."""
    found, place = [], 0
    while place < len(data):
        kind, size, place = data[place], data[place + 1], place + 2
        if size & 0x80:
            count = size & 0x7F
            size, place = int.from_bytes(data[place : place + count], "big"), place + count
        found.append((kind, data[place : place + size]))
        place += size
    return found


__all__ = ["Inspection", "certificate_expiry", "chain_length", "not_after"]
