"""Specs of the fleet's capacity: limits of nodes, settings of groups, quotas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, field_validator

from novacron.errors import InvalidValueError
from novacron.redaction import redacted
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

    VMs are given at most `(total - reserved) * ratio` of a resource.

    Attributes:
        vcpus_ratio: How many vCPUs VMs may have for each CPU thread of a node, as a ratio; "unlimited" sets no limit. Default of
            the fleet: 4.
        memory_ratio: How often the memory of a node may be allocated, as a ratio; "unlimited" sets no limit. Default of the
            fleet: 1.
        storage_ratio: How often the storage of a node may be allocated, as a ratio. Default of the fleet: "unlimited".
        vcpus_reserved: Number of CPU threads that are kept for the node itself. Default of the fleet: 0.
        memory_reserved: Memory that is kept for the node itself, in bytes or text such as "4GiB". Default of the fleet: 512 MiB.
        storage_reserved: Storage that is kept free on the node, in bytes or text such as "100GiB". Default of the fleet: 0.

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

    Attributes:
        strategy: How VMs are placed: "spread" uses all nodes evenly, "pack" fills one node after the other. Default: "spread".
        failures: Number of failure domains that may fail at a time so that all VMs can restart elsewhere. Default: 0, which
            switches the simulation off.
        failure_domain: What fails together: "host", or the name of a label of nodes such as "rack". Default: "host".
        admission: What happens to a claim after which VMs could not restart: "off" allows it, "warn" writes to the log, "refuse"
            refuses it. Default: "off".
        balancer: Name of the balancer that proposes migrations: "deviation", which is built in, or one of a plugin. Threshold and
            margin are settings of "deviation" alone. Default: "deviation".
        balance_threshold: Balancing moves VMs only if the imbalance is above this value. Default: 0.1.
        balance_margin: Each move must lower the imbalance by at least this value. Default: 0.01.
        balance_moves: Largest number of moves in one plan. Default: 10.
        balance_cool_down: A VM that was moved stays at its node for this time, in seconds or text such as "30m". Default: 30
            minutes.
        balance_hold: The imbalance must last for this time before VMs are moved, in seconds or text such as "5m". Default: 0.
        failover: Whether the VMs of a failed node are restarted on other nodes of the group: "on" or "off". Default: "off".
        failover_disarmed: Whether failover is suspended, for example during maintenance of the network. Default: false.
        failover_after: A node is suspect if it has not answered for this time, in seconds or text such as "15s". Default: 15
            seconds.
        failover_grace: After the controller started, no node is fenced for this time, in seconds or text such as "1m". Default:
            60 seconds.
        shared_pools: Storage pools that all nodes of the group share. Only VMs whose disks are in them are restarted. Files in other
            pools are only on one node, and are deleted also while another host does not answer. Pools on the network are always
            shared. Default: not known.
        storage_lease: What keeps a second copy of a VM from opening its disks: "virtlockd", "sanlock" or "none". Default: "none".
    """

    strategy: Literal["spread", "pack"] | None = None
    failures: int | None = Field(None, ge=0, le=2)
    failure_domain: str | None = Field(None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    admission: Literal["off", "warn", "refuse"] | None = None
    balancer: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
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
    """The limits of a quota. A field that is None sets no limit.

    Attributes:
        vms: Largest number of VMs.
        vcpus: Largest number of vCPUs of all active VMs together.
        memory: Largest memory of all active VMs together, in bytes or text such as "64GiB".
        storage: Largest storage of all VMs together, in bytes or text such as "1TiB".
    """

    vms: int | None = Field(None, ge=0)
    vcpus: int | None = Field(None, ge=0)
    memory: Size | None = Field(None, ge=0)
    storage: Size | None = Field(None, ge=0)


class RollingUpdateSpec(Spec):
    """What a rolling update does with each node of a group.

    Attributes:
        command: Program and its arguments, such as ["apt-get", "-y", "upgrade"]. It has to be safe to run twice, because it is run
            again after a failure, and must contain no secret, because it is stored and other users can see it while it runs. Without
            it the nodes are only emptied and filled again.
        run_on: Where the command runs: "node" (by SSH if the URI of the host uses SSH) or "here" on this machine. Default: "node".
        max_unavailable: Largest number of nodes that are away at a time. Default: 1.
        storage: What happens to the disks of the VMs: "shared" expects them on both hosts, "copy" sends them whole, "copy-top" only
            the data above a backing file that the destination already has. Default: "shared".
        reboots: Whether the command restarts the node. Default: false.
        command_timeout: Longest time for the command, in seconds or text such as "2h". Default: 1 hour.
        answer_timeout: Longest time until the node answers afterwards, in seconds or text such as "10m". Default: 15 minutes.

    Example:
        >>> RollingUpdateSpec(command=["apt-get", "-y", "upgrade"], command_timeout="2h").command_timeout
        7200.0
    """

    command: list[str] = []
    run_on: Literal["node", "here"] = "node"
    max_unavailable: int = Field(1, ge=1)
    storage: Literal["shared", "copy", "copy-top"] = "shared"
    reboots: bool = False
    command_timeout: Seconds = Field(3600.0, gt=0)
    answer_timeout: Seconds = Field(900.0, gt=0)

    @field_validator("command")
    @classmethod
    def _without_secrets(cls, words: list[str]) -> list[str]:
        if any("\0" in word for word in words) or (words and not words[0]):
            raise ValueError("a program and its arguments")
        if redacted(words) != words:
            raise ValueError("words without a secret: keep it in a file that the program reads")
        return words


__all__ = ["GroupSettings", "LimitSettings", "QuotaSettings", "RollingUpdateSpec"]
