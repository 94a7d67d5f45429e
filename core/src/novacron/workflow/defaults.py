"""The site of callers that name none. This module alone of the package knows the layer above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novacron.site import Site


def default_site() -> Site:
    """Return the default site, with its engine, flows, step kinds and fleet."""
    from novacron import site

    return site.default_site()


__all__ = ["default_site"]
