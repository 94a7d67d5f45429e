"""Real libvirt and QEMU hosts on one machine.

Example:
    lab = Lab.up(hosts=2)
    lab.hosts[0].uri            # qemu+tls://10.231.0.11/system?pkipath=...
    lab.down()
"""

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron_lab.guest import Guest as Guest
    from novacron_lab.host import LabHost as LabHost
    from novacron_lab.lab import Lab as Lab

# every command imports this package to ask for its commands, so it loads nothing by itself
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guest": "Guest",
        "host": "LabHost",
        "lab": "Lab",
    },
)

__all__ = ["Guest", "Lab", "LabHost"]
