"""Specs of the fleet's capacity: limits of nodes, settings of groups, quotas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from novacron.errors import InvalidValueError
from novacron.specs.spec import Seconds, Size, Spec


def _ratio(value: Any) -> float | str:
    if value == "unlimited":
        return "unlimited"
    try:
        ratio = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        ratio = 0.0
    if not 0 < ratio <= 1000:
        raise InvalidValueError(
            f"not a ratio: {value}", hint='a number above 0 and up to 1000, such as 4, or "unlimited"', outcome="not_sent"
        )
    return ratio


Ratio = Annotated[float | str, PlainValidator(_ratio)]
"""How often a resource may be allocated, such as 4.0 for CPUs; "unlimited" sets no limit."""


class LimitSettings(Spec):
    """Allocation ratios and reserves of a node, a group or the whole fleet. A field that is None is inherited.

    VMs are given at most `(total - reserved) * ratio` of a resource. The defaults are: 4 vCPUs for each CPU thread, memory once with
    512 MiB reserved for the host, storage not limited.

    Example:
        >>> LimitSettings(vcpus_ratio=2, memory_reserved="4GiB").as_dict()
        {'vcpus_ratio': 2.0, 'memory_reserved': 4294967296}
    """

    vcpus_ratio: Ratio | None = None
    memory_ratio: Ratio | None = None
    storage_ratio: Ratio | None = None
    vcpus_reserved: int | None = Field(None, ge=0)
    memory_reserved: Size | None = Field(None, ge=0)
    storage_reserved: Size | None = Field(None, ge=0)


class GroupSettings(LimitSettings):
    """Settings of a group, or of the whole fleet. A field that is None is inherited.

    `strategy` is how VMs are placed: "spread" (the default) uses all nodes evenly, "pack" fills one node after the other.
    `failures` is how many domains may fail at a time so that all VMs can restart; 0 (the default) switches the simulation off.
    `failure_domain` is what fails together: "host" (the default) or a label such as "rack". `admission` is what happens to a claim after
    which VMs could not restart: "off" (the default), "warn" writes to the log, "refuse" refuses it.
    Balancing moves VMs only if the imbalance is above `balance_threshold` (0.1), and was so for `balance_hold` seconds (0) whenever the
    group was balanced. Each move must lower it by `balance_margin` (0.01), a plan has at most `balance_moves` (10), and a VM that was
    moved stays for `balance_cool_down` seconds (30 minutes).
    `failover` restarts the VMs of a node that fails on other nodes of the group; it is off by default, and `failover_disarmed` suspends it.
    A node is suspect if it has not answered for `failover_after` seconds (15). For `failover_grace` seconds (60) after the controller
    started, no node is fenced. `shared_pools` are the storage pools that all nodes of the group share; only VMs whose disks are on them
    are restarted. `storage_lease` says what keeps a second copy of a VM from opening its disks: "virtlockd", "sanlock" or "none".
    """

    strategy: Literal["spread", "pack"] | None = None
    failures: int | None = Field(None, ge=0, le=2)
    failure_domain: str | None = Field(None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    admission: Literal["off", "warn", "refuse"] | None = None
    balance_threshold: float | None = Field(None, ge=0)
    balance_margin: float | None = Field(None, gt=0)
    balance_moves: int | None = Field(None, ge=1, le=1000)
    balance_cool_down: Seconds | None = Field(None, ge=0)
    balance_hold: Seconds | None = Field(None, ge=0)
    failover: Literal["off", "on"] | None = None
    failover_disarmed: bool | None = None
    failover_after: Seconds | None = Field(None, ge=1)
    failover_grace: Seconds | None = Field(None, ge=0)
    shared_pools: list[str] | None = None
    storage_lease: Literal["none", "virtlockd", "sanlock"] | None = None


class QuotaSettings(Spec):
    """The limits of a quota; None is no limit."""

    vms: int | None = Field(None, ge=0)
    vcpus: int | None = Field(None, ge=0)
    memory: Size | None = Field(None, ge=0)
    storage: Size | None = Field(None, ge=0)


__all__ = ["GroupSettings", "LimitSettings", "QuotaSettings"]
