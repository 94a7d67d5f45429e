"""Real libvirt and QEMU hosts on one machine.

Example:
    lab = Lab.up(hosts=2)
    lab.hosts[0].uri            # qemu+tls://10.231.0.11/system?pkipath=...
    lab.down()
"""

from novacron_lab.guest import Guest
from novacron_lab.host import LabHost
from novacron_lab.lab import Lab

__all__ = ["Guest", "Lab", "LabHost"]
