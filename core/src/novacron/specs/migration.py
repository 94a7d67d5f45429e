"""A migration as asked for."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Rate, Seconds, Spec


class MigrationSpec(Spec):
    """How a VM is to move.

    `deadline` bounds the whole migration (default 10 minutes): past it the migration is aborted and the VM stays at the source.
    `max_downtime` is what the guest may stand still at the end. `storage` "shared" expects the disks on both hosts,
    "copy" sends them.

    Example:
        >>> MigrationSpec(bandwidth="100MiB/s", max_downtime="300ms").max_downtime
        0.3
    """

    live: bool = True
    storage: Literal["shared", "copy"] = "shared"
    bandwidth: Rate | None = Field(None, ge=1024**2)
    max_downtime: Seconds | None = Field(None, gt=0)
    deadline: Seconds = Field(600, gt=0)
    auto_converge: bool = True
    post_copy: bool = False
    compression: bool = False
    parallel: int | None = Field(None, ge=1, le=255)
    peer_to_peer: bool = True
    persistent: bool = True
    node: str | None = None
    destination_uri: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.live and (self.post_copy or self.max_downtime):
            raise ValueError("post_copy and max_downtime only for a live migration")
        return self


__all__ = ["MigrationSpec"]
