"""Appliances through vSphere's leases (HttpNfcLease): the ESXi packs and unpacks the disks, and only compressed bytes travel."""

from __future__ import annotations

import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from novacron.errors import (
    DriverError,
    HostConnectionError,
    InvalidSpecError,
    InvalidStateError,
    NetworkNotFoundError,
    NovaCronError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.plugins import hookimpl
from novacron.records.appliances import Appliance
from novacron.records.vm import VM
from novacron.spare_files import SpareFile
from novacron_vmware.answers import received
from novacron_vmware.errors import mapped, translated
from novacron_vmware.lifecycle.checks import check, refuse_taken
from novacron_vmware.lifecycle.creation import undo
from novacron_vmware.placement import find_network, find_placement, find_store
from novacron_vmware.records import apply_tags, facts_option
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.undoing import undone_on_failure
from novacron_vmware.vm_operations import VMOperations

if TYPE_CHECKING:
    from novacron.appliances.archive import Archive
    from novacron.specs.appliances import ApplianceSpec
    from novacron.specs.vm import VMSpec

READY_SECONDS = 300
CHUNK = 2**20
"""Bytes that are read at once."""
STREAM = "application/x-vnd.vmware-streamVmdk"


class VMwareAppliances(VMOperations):
    """Exports and imports."""

    @hookimpl
    def appliance_export(self, vm: str, target: BinaryIO, job: Job[Appliance]) -> Appliance:
        """Fetch each disk as the lease gives it, packed already, and write the appliance around them."""
        from novacron.appliances.archive import write
        from novacron.appliances.area import described

        thing, record = self._changing(vm, "export", "stopped")
        sizes = [d.size_bytes or 0 for d in record.disks or () if d.device == "disk"]
        job.report("asking for a lease", 0.0)
        with tempfile.TemporaryDirectory(prefix="novacron-") as folder, translated(record.name):
            with self._lease(thing.ExportVm(), record.name) as (lease, info):
                urls = [each for each in info.deviceUrl if each.disk]
                if len(urls) != len(sizes):
                    raise DriverError(
                        f"the server offers {len(urls)} disks of {record.name!r}, which has {len(sizes)}",
                        resource=record.name,
                        hint="look at the VM's disks, and export it again",
                        outcome="failed",
                    )
                most = _most(max(sizes, default=0) or info.totalDiskCapacityInKB * 1024)
                files = list[Path]()
                for number, each in enumerate(urls):
                    files.append(Path(folder) / f"{record.name}-disk{number}.vmdk")
                    with SpareFile(files[-1]) as packed:
                        told = _teller(
                            lease, job, f"fetching disk {number}", (0.9 * number / len(urls), 0.9 * (number + 1) / len(urls))
                        )
                        self._fetch(each.url, packed, each.fileSize or 0, most, told)
            disks = [(file.name, capacity, file.stat().st_size) for file, capacity in zip(files, sizes, strict=True)]
            job.report("writing the appliance", 0.9)
            write(target, described(record, disks), files)
            return Appliance(name=record.name, host=record.host, disks=tuple(sizes), size_bytes=sum(size for _, _, size in disks))

    @hookimpl
    def appliance_import(self, source: BinaryIO, spec: ApplianceSpec, job: Job[VM]) -> VM:
        """Let vSphere read the description, and send each disk into the lease that it gives."""
        from novacron.appliances.archive import Archive
        from novacron.appliances.area import planned

        connection, archive = self._connection, Archive(source)
        wanted = planned(archive.description, spec)
        check(wanted, connection)
        refuse_taken(connection, wanted.name, None)
        networks = [spec.networks.get(nic.network, nic.network) for nic in archive.description.nics]
        place = find_placement(connection, wanted.name, memory=wanted.memory, pools=[spec.pool], networks=networks)
        with translated(wanted.name):
            made = self._spec(archive, wanted, spec, place)
            lease = place.pool.ImportVApp(made.importSpec, place.folder, place.node)
            with self._lease(lease, wanted.name) as (lease, info):
                vm = info.entity
                try:
                    self._send_all(archive, made, info, lease, job)
                    job.raise_if_cancelled()
                except BaseException:
                    with suppress(vmodl.MethodFault):
                        lease.HttpNfcLeaseAbort(None)
                    with suppress(NovaCronError):
                        connection.wait(vm.Destroy_Task(), resource=wanted.name)
                    raise
            with undone_on_failure(wanted.name, f"the VM {wanted.name!r}", lambda: undo(connection, vm, wanted.name)):
                self._reconfigure(
                    vm,
                    wanted.name,
                    annotation=wanted.description or None,
                    extraConfig=[facts_option({"tags": sorted(wanted.tags), "metadata": wanted.metadata})],
                )
                apply_tags(connection, vm, wanted.name)
                if wanted.start:
                    connection.wait(vm.PowerOnVM_Task(), resource=wanted.name)
                return self._read(vm)

    def _spec(self, archive: Archive, wanted: VMSpec, spec: ApplianceSpec, place: Any) -> Any:
        """Return what vSphere makes of the description. Raises InvalidSpecError, NetworkNotFoundError."""
        from novacron.appliances.ovf import as_text

        mapping = []
        for nic in archive.description.nics:
            here = spec.networks.get(nic.network, nic.network)
            try:
                network = find_network(self._connection, here, place.datacenter)
            except NetworkNotFoundError as error:
                error.hint = f"{error.hint}; say which takes its place: networks={{{nic.network!r}: ...}}"
                raise
            mapping.append(vim.OvfManager.NetworkMapping(name=nic.network, network=network))
        asked = vim.OvfManager.CreateImportSpecParams(
            entityName=wanted.name,
            locale="",
            deploymentOption="",
            networkMapping=mapping,
            diskProvisioning="thin",
            hostSystem=place.node,
        )
        _, store = find_store(self._connection, spec.pool, place.datacenter)
        made = self._connection.content.ovfManager.CreateImportSpec(as_text(archive.text), place.pool, store, asked)
        if made.error:
            problems = [
                SpecProblem("ovf", type(e).__name__.rpartition(".")[2], e.msg or "something that vSphere can make")
                for e in made.error
            ]
            raise InvalidSpecError(f"vSphere can't create the VM {wanted.name!r}", resource=wanted.name, problems=problems)
        return made

    def _send_all(self, archive: Archive, made: Any, info: Any, lease: Any, job: Job[VM]) -> None:
        items = {item.path: item for item in made.fileItem}
        urls = {each.importKey: each.url for each in info.deviceUrl}
        total = max(1, sum(disk.size for disk in archive.description.disks))
        done = 0
        for disk, content, size in archive.disks():
            item = items.get(str(disk.file))
            if item is None or item.deviceId not in urls:
                raise InvalidSpecError(
                    "vSphere did not ask for a disk", problems=[SpecProblem("disk", str(disk.file), "one of its own")]
                )
            told = _teller(lease, job, f"sending {disk.file}", (done / total, min(1.0, (done + size) / total)))
            try:
                self._send(urls[item.deviceId], content, None if disk.compressed else size, told, create=bool(item.create))
            except HostConnectionError as error:
                raise self._refused(lease, str(disk.file), error) from error
            done += size

    def _refused(self, lease: Any, file: str, error: HostConnectionError) -> NovaCronError:
        """Return why vSphere did not take a disk: what the lease says, otherwise that the disk can't be read."""
        read = self._connection.read(lease, ["state", "error"])
        if read.get("state") == "error":
            return mapped(read["error"], resource=file)
        if error.outcome != "failed":
            return error
        return InvalidSpecError(
            "vSphere can't read that appliance", problems=[SpecProblem("disk", file, f"a whole VMDK ({error})")]
        )

    @contextmanager
    def _lease(self, lease: Any, name: str) -> Iterator[tuple[Any, Any]]:
        """Wait for a lease and yield its information. Afterwards it is completed, or aborted on failure."""
        until = time.monotonic() + READY_SECONDS
        while True:
            read = self._connection.read(lease, ["state", "error", "info"])
            if read.get("state") == "ready":
                break
            if read.get("state") == "error":
                fault = read["error"]
                raise mapped(fault, resource=name) from fault
            if time.monotonic() > until:
                lease.HttpNfcLeaseAbort(None)
                raise InvalidStateError(f"vSphere gave no lease for {name!r} within {READY_SECONDS} s", resource=name)
            time.sleep(0.1)
        try:
            yield lease, read["info"]
        except BaseException:
            with suppress(vmodl.MethodFault, OSError):
                lease.HttpNfcLeaseAbort(None)
            raise
        lease.HttpNfcLeaseComplete()

    def _fetch(self, url: str, target: BinaryIO, size: int, most: int, told: Callable[[float], None]) -> None:
        web, path, headers = self._web(url)
        try:
            web.request("GET", path, headers=headers)
            answer = web.getresponse()
            self._check(answer)
            done = 0
            for chunk in received(answer, "the disk", most):
                target.write(chunk)
                done += len(chunk)
                told(min(1.0, done / size) if size else 0.0)
        finally:
            web.close()

    def _send(self, url: str, content: BinaryIO, size: int | None, told: Callable[[float], None], *, create: bool) -> None:
        done = 0

        def chunks() -> Iterator[bytes]:
            nonlocal done
            while chunk := content.read(CHUNK):
                yield chunk
                done += len(chunk)
                told(min(1.0, done / size) if size else 0.0)

        web, path, headers = self._web(url)
        headers |= {"Content-Type": STREAM, "Overwrite": "t"}
        headers |= {"Content-Length": str(size)} if size is not None else {}
        try:
            web.request("PUT" if create else "POST", path, body=chunks(), headers=headers, encode_chunked=size is None)
            self._check(web.getresponse())
        finally:
            web.close()

    def _web(self, url: str) -> tuple[http.client.HTTPSConnection, str, dict[str, str]]:
        """Return a connection to a lease's address, where "*" is the server that was asked, the path there, and the headers to send.

        The session is for the server that was asked alone. On another one, such as an ESXi host, the address itself is the permission.
        """
        parts, connection = urlsplit(url), self._connection
        own, port = connection.address
        host = own if parts.hostname in (None, "*") else str(parts.hostname)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        web = connection.session.web(host, parts.port or (port if host == own else 443), limited=False)
        return web, path, connection.session.headers() if host == own else {}

    def _check(self, answer: http.client.HTTPResponse) -> None:
        if answer.status >= http.client.BAD_REQUEST:
            raise HostConnectionError(f"the transfer of a disk failed: {answer.status} {answer.reason}", outcome="failed")


def _most(capacity: int) -> int:
    """Return the most bytes that a packed disk can have: each grain of 64 KiB has a header, and may not get smaller."""
    return capacity + capacity // 16 + 16 * 2**20


def _teller(lease: Any, job: Job[Any], what: str, part: tuple[float, float]) -> Callable[[float], None]:
    """Return what reports how far a transfer is, keeps the lease alive, and ends it when the job was cancelled."""
    begin, end = part
    last = time.monotonic()

    def told(fraction: float) -> None:
        nonlocal last
        job.raise_if_cancelled()
        done = begin + (end - begin) * fraction
        job.report(what, done)
        if time.monotonic() - last > 10:  # a lease that hears nothing ends
            last = time.monotonic()
            lease.HttpNfcLeaseProgress(int(done * 100))

    return told


__all__ = ["VMwareAppliances"]
