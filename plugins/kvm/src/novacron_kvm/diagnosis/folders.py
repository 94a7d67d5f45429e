"""Whether the user that QEMU runs as can enter a folder of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from novacron_kvm.xml.parsing import text_of


def qemu_user(capabilities: Any) -> tuple[int, int] | None:
    """Return the user and group ids that QEMU runs as, from a host's capabilities; None where they are not set.

    Example:
        >>> from novacron_kvm.xml.parsing import parse
        >>> qemu_user(parse("<c><host><secmodel><model>dac</model><baselabel type='kvm'>+64055:+108</baselabel></secmodel></host></c>"))
        (64055, 108)
    """
    for model in capabilities.iterfind("host/secmodel"):
        if text_of(model, "model") == "dac":
            user, _, group = (text_of(model, "baselabel") or "").replace("+", "").partition(":")
            if user.isdecimal() and group.isdecimal():
                return int(user), int(group)
    return None


def closed_folder(folder: str, user: int, group: int) -> str | None:
    """Return the first folder on the way to `folder`, itself included, that a user can't enter; None if there is none.

    Only the owner, the group and the mode are looked at. A folder that doesn't exist is not closed.
    """
    if user == 0:
        return None
    path = Path(folder)
    for each in [*reversed(path.parents), path]:
        try:
            found = os.stat(each)
        except OSError:
            return None
        bit = stat.S_IXUSR if found.st_uid == user else stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH
        if not found.st_mode & bit:
            return str(each)
    return None


__all__ = ["closed_folder", "qemu_user"]
