"""The engine and the step kinds of the default site, for callers that name no site."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novacron.workflow.run.durable import DurableEngine


def default_engine() -> DurableEngine:
    """Return the engine of the default site."""
    from novacron.site import default_site

    return default_site().engine


__all__ = ["default_engine"]
