"""Names of the volumes that exist only while an appliance is exported or imported."""

from __future__ import annotations

import re
import uuid
from typing import Literal

NAME = re.compile(r"(export|import)-[0-9a-f]{12}\.raw")


def new_name(purpose: Literal["export", "import"]) -> str:
    """Return a name that no volume has."""
    return f"{purpose}-{uuid.uuid4().hex[:12]}.raw"


def is_temporary(volume: str) -> bool:
    """Whether a volume has such a name. No VM is given it, so it is deleted whatever other hosts say.

    Example:
        >>> is_temporary(new_name("export")), is_temporary("web1-vda.raw")
        (True, False)
    """
    return NAME.fullmatch(volume) is not None


__all__ = ["is_temporary", "new_name"]
