"""CPU and memory limits and guarantees as asked for."""

from __future__ import annotations

from pydantic import Field

from novacron.specs.spec import Size, Spec


class LimitsSpec(Spec):
    """Limits and guarantees; only the given fields change. `cpu_limit_percent` 150 is one and a half CPUs."""

    cpu_shares: int | None = Field(None, ge=2, le=262144)
    cpu_limit_percent: float | None = Field(None, gt=0)
    cpu_guarantee_mhz: int | None = Field(None, ge=0)
    memory_limit: Size | None = None
    memory_guarantee: Size | None = None


__all__ = ["LimitsSpec"]
