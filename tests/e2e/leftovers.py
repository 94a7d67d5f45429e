"""Removes what a test of one host has made, by the beginning of its names."""


def remove_named(host, prefix):
    """Delete the VMs whose names begin so, then the volumes of the pool "default" that have it in their names, overlays first."""
    for vm in host.vms.list():
        if vm.name.startswith(prefix):
            vm.delete(force=True)
    host.pools.refresh("default")
    for volume in sorted(host.pools.volumes("default"), key=lambda v: v.backing or "", reverse=True):
        if prefix in volume.name:
            host.pools.delete_volume(volume.name)
