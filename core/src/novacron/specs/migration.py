"""A migration as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Rate, Reference, Seconds, Spec


class MigrationSpec(Spec):
    """How a VM moves to another host.

    Attributes:
        live: Whether the VM runs during the migration. Default: true. A cold migration moves a stopped VM.
        storage: What happens to the disks: "shared" expects them on both hosts, "copy" sends them whole, "copy-top" sends only
            the data above a backing file that the destination already has. Default: "shared".
        bandwidth: Most bytes per second that are sent; a number or text such as "100MiB/s", at least 1 MiB/s. Without it there is
            no limit.
        max_downtime: Longest time for which the guest may stand still at the end, in seconds or text such as "300ms". Without it
            the hypervisor's default is used.
        deadline: Longest time for the whole migration, in seconds or text such as "10m". It is then aborted, and the VM stays at
            the source. Default: 10 minutes.
        auto_converge: Whether a guest that changes its memory faster than it can be sent is slowed down. Default: true.
        post_copy: Whether the guest continues at the destination after the first pass over memory, and fetches the rest from the
            source. If the network fails then, the VM is lost. Default: false.
        compression: Whether memory is compressed before it is sent. Default: false.
        parallel: Number of network connections for the memory. Without it one connection is used.
        peer_to_peer: Whether the source host connects to the destination itself. Otherwise NovaCron connects to both. Default:
            true.
        transport: How memory is sent: "native" in clear, "tls" encrypts it, "tunnel" uses the connection of the hosts' daemons.
            Default: "native".
        persistent: Whether the destination keeps the VM's definition after the VM stops. Default: true.
        node: Node within the destination host. Without it the destination chooses.
        pool: Storage pool at the destination for copied disks. Without it the disks go to the pool of the same name, or to one
            that the destination chooses.
        folder: Folder at the destination, where the hypervisor has folders. Without it the driver's default is used.
        networks: Network of the destination for each network of the source, such as {"VM Network": "prod"}. NICs on other
            networks keep the name of their network.
        destination_uri: Address under which the hypervisor of the source reaches that of the destination, such as
            "qemu+tls://kvm2/system". Without it the URI of the destination host is used.

    Example:
        >>> MigrationSpec(bandwidth="100MiB/s", max_downtime="300ms").max_downtime
        0.3
    """

    live: bool = True
    storage: Literal["shared", "copy", "copy-top"] = "shared"
    bandwidth: Rate | None = Field(None, ge=1024**2)
    max_downtime: Seconds | None = Field(None, gt=0)
    deadline: Seconds = Field(600, gt=0)
    auto_converge: bool = True
    post_copy: bool = False
    compression: bool = False
    parallel: int | None = Field(None, ge=1, le=255)
    peer_to_peer: bool = True
    transport: Literal["native", "tls", "tunnel"] = "native"
    persistent: bool = True
    node: Reference | None = None
    pool: Reference | None = None
    folder: Reference | None = None
    networks: dict[Reference, Reference] = {}
    destination_uri: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.live and (self.post_copy or self.max_downtime):
            raise ValueError("post_copy and max_downtime only for a live migration")
        if self.transport == "tunnel" and (self.storage != "shared" or self.parallel or not self.peer_to_peer):
            raise ValueError("a tunnel only peer to peer, with shared storage and one connection")
        return self


__all__ = ["MigrationSpec"]
