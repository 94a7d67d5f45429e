"""A migration as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Rate, Reference, Seconds, Spec


class MigrationSpec(Spec):
    """How a VM is to move.

    `deadline` bounds the whole migration (default 10 minutes): past it the migration is aborted and the VM stays at the source.
    `max_downtime` is what the guest may stand still at the end. `storage` "shared" expects the disks on both hosts,
    "copy" sends them whole, "copy-top" only what is above the image that they are linked to, which the destination has already.
    A guest that changes its memory faster than it can be sent is slowed down with `auto_converge`; with `post_copy` it goes on at the
    destination after the first pass and fetches what is missing from there. (Should the link break then, the VM is lost at both.)
    `transport` "tls" encrypts memory and disks between the hypervisors, "tunnel" sends them through the hosts' own connection.
    `node`, `pool` and `folder` choose the place within the destination host. `networks` says which network of the destination
    replaces one of the source, {"VM Network": "prod"}; every other NIC keeps the name of its network.

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
