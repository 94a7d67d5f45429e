"""Labs: VMs, networks, storage pools, volumes and images that one file describes, and that `apply` brings about.

Example:
    >>> import novacron
    >>> from novacron.labs import Lab
    >>> host = novacron.connect("sim://lab-example")
    >>> vms = {"web": {"count": 2, "nics": [{"network": "lan"}]}}
    >>> lab = Lab.parse({"name": "demo", "networks": {"lan": {"type": "isolated"}}, "vms": vms})
    >>> plan = lab.plan(host)
    >>> [(action.action, action.kind, action.name) for action in plan]
    [('create', 'network', 'lan'), ('create', 'vm', 'web-1'), ('create', 'vm', 'web-2')]
    >>> plan.apply().status, len(lab.plan(host))
    ('done', 0)
    >>> lab.plan(host, destroy=True).apply().status
    'done'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novacron.lazy_names import lazy_names

if TYPE_CHECKING:
    from novacron.labs.description import describe
    from novacron.labs.lab import Lab
    from novacron.labs.plan import LabPlan
    from novacron.labs.resources import Action
    from novacron.labs.schema import lab_schema

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "description": "describe",
        "lab": "Lab",
        "plan": "LabPlan",
        "resources": "Action",
        "schema": "lab_schema",
    },
)

__all__ = ["Action", "Lab", "LabPlan", "describe", "lab_schema"]
