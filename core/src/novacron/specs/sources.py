"""Sources of disks and media: volumes of the host, and no URLs."""

from __future__ import annotations

import re

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.urls import scheme_of


def refuse_url(source: str, pool: str) -> None:
    """Refuse a URL in the place of an image or of a medium, which is a volume of the host.

    Raises:
        InvalidSpecError: its hint says how to get what is at the URL. It does not repeat the URL, which may contain a secret.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://", source):
        raise InvalidSpecError(
            "a URL is no image of the host",
            problems=[SpecProblem("source", scheme_of(source), "image:NAME, POOL/VOLUME or an absolute path")],
            hint=f"get it first: `novacron image pull URL --pool {pool}`, then give image:NAME (`novacron image list`)",
        )


__all__ = ["refuse_url"]
