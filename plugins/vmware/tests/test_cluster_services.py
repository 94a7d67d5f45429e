"""DRS and HA of clusters, from the settings that a vCenter sends."""

from novacron_vmware.cluster_services import services_of
from novacron_vmware.sdk import vim


def cluster(name, nodes, *, drs, ha):
    """The properties of a cluster; None for settings that the user may not read."""
    read = {"name": name, "host": [vim.HostSystem(node) for node in nodes]}
    if drs is None:
        return read
    config = vim.cluster.ConfigInfoEx(
        drsConfig=vim.cluster.DrsConfigInfo(enabled=drs, defaultVmBehavior="fullyAutomated"),
        dasConfig=vim.cluster.DasConfigInfo(enabled=ha),
    )
    return read | {"configurationEx": config}


def test_each_node_has_the_services_of_its_cluster():
    found = services_of(
        [
            cluster("both", ["host-1", "host-2"], drs=True, ha=True),
            cluster("only%2fHA", ["host-3"], drs=False, ha=True),
            cluster("neither", ["host-4"], drs=False, ha=False),
            cluster("unread", ["host-5"], drs=None, ha=None),
            cluster("empty", [], drs=True, ha=True),
        ]
    )
    assert found == {
        "host-1": ("DRS of the cluster both", "HA of the cluster both"),
        "host-2": ("DRS of the cluster both", "HA of the cluster both"),
        "host-3": (None, "HA of the cluster only/HA"),
        "host-4": (None, None),
        "host-5": (None, None),
    }
