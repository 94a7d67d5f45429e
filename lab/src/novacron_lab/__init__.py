"""Real libvirt and QEMU hosts on one machine.

Example:
    lab = Lab.up(hosts=2)
    lab.hosts[0].uri            # qemu+tls://10.231.0.11/system?pkipath=...
    lab.down()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from novacron_lab.guest import Guest as Guest
    from novacron_lab.host import LabHost as LabHost
    from novacron_lab.lab import Lab as Lab

_HOME = {"Guest": "guest", "Lab": "lab", "LabHost": "host"}
"""The module of each public name. Every command imports this package to ask for its commands, so it loads nothing by itself."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"novacron_lab.{_HOME[name]}"), name)
    globals()[name] = value
    return value


__all__ = ["Guest", "Lab", "LabHost"]
