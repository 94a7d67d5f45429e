"""The fields of the specs that vSphere supports through this driver. Core refuses every other field that is given."""

from __future__ import annotations

FIELDS = {
    "ApplianceSpec": "name pool networks tags metadata start",
    "CPUTopology": "sockets cores threads",
    "ChannelSpec": "",
    "CloudInitSpec": "user_data vendor_data network_config hostname user ssh_keys password commands packages",
    "DHCPHostSpec": "",
    "DNSHostSpec": "",
    "DeviceLimits": "",
    "DiskLimits": "total_iops",
    "DiskSpec": "size source path pool name device bus format target preallocate read_only shareable boot_order limits",
    "DisplaySpec": "",
    "FeaturesSpec": "hide_hypervisor pmu iommu",
    "FilesystemSpec": "",
    "FilterRule": "",
    "HostDeviceSpec": "pci",
    "KernelSpec": "",
    "LaunchSecuritySpec": "type",
    "LimitsSpec": "cpu_shares cpu_limit_percent cpu_guarantee_mhz memory_limit memory_guarantee",
    "MemoryBackingSpec": "hugepages page_size locked preallocate merge",
    "MigrationSpec": "live storage deadline node pool folder networks",
    "NICLimits": "",
    "NICSpec": "network mac model link_up outbound_bytes_per_second boot_order",
    "NICUpdate": "network mac model link_up outbound_bytes_per_second",
    "NUMANodeSpec": "vcpus memory host_nodes",
    "NetworkSpec": "name type bridge vlan mtu",
    "PortGroupSpec": "",
    "SerialSpec": "type file",
    "SnapshotSpec": "name description memory quiesce kind",
    "StoragePoolSpec": "name type path source_host source_path",
    "TemplateSpec": "name description tags seal",
    "TrafficFilterSpec": "name default anti_spoofing",
    "VMSpec": (
        "name id vcpus vcpus_max memory memory_max arch machine cpu_mode cpu_model topology numa memory_backing features "
        "launch_security watchdog firmware tpm iso boot_menu cpuset usb_controller disks nics serial sound host_devices balloon "
        "cloud_init tags metadata description autostart start node native.guest_id native.cluster native.resource_pool native.folder "
        "native.serial_port"
    ),
    "VMUpdate": (
        "vcpus memory description tags metadata autostart topology memory_backing boot_order features watchdog tpm sound balloon"
    ),
    "VolumeSpec": "name capacity format preallocate",
    "disk_attach": "size source path pool name device bus format target preallocate read_only shareable limits",
    "nic_attach": "network mac model link_up outbound_bytes_per_second",
    "template_deploy": (
        "name id vcpus memory disks nics cloud_init tags metadata description autostart start node native.cluster "
        "native.resource_pool native.folder"
    ),
}
"""Refused, for instance: displays and video (vSphere makes its own), NUMA nodes, host devices, memory backing, guest agent channels.

A volume with a backing file is refused too: vSphere has those only in the snapshots of a VM. `volume_clone` makes a copy.
"""

__all__ = ["FIELDS"]
