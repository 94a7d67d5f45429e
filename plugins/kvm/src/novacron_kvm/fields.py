"""The fields of the specs that libvirt and QEMU support through this driver."""

from __future__ import annotations

FIELDS = {
    "ApplianceSpec": "name pool networks tags metadata start",
    "CPUTopology": "sockets cores threads",
    "ChannelSpec": "name path",
    "CloudInitSpec": "user_data vendor_data network_config hostname user ssh_keys password commands packages",
    "DHCPHostSpec": "mac address hostname",
    "DNSHostSpec": "address names",
    "DeviceLimits": "weight read_bytes_per_second write_bytes_per_second read_iops write_iops",
    "DiskLimits": ("read_bytes_per_second write_bytes_per_second total_bytes_per_second read_iops write_iops total_iops"),
    "DiskSpec": (
        "size source path copy_mode pool name device bus format target preallocate read_only shareable boot_order serial cache io "
        "discard detect_zeroes wwn iothread queues limits encryption"
    ),
    "DisplaySpec": "type listen port keymap",
    "FeaturesSpec": "hyperv hide_hypervisor pmu iommu",
    "FilesystemSpec": "source tag type read_only",
    "FilterRule": "action direction protocol peer ports priority",
    "HostDeviceSpec": "pci usb mdev boot_order",
    "KernelSpec": "path initrd command_line",
    "LaunchSecuritySpec": "type policy session dh_cert",
    "LimitsSpec": (
        "cpu_shares cpu_limit_percent vcpu_limit_percent emulator_limit_percent iothread_limit_percent cpu_period_us "
        "memory_limit memory_soft_limit memory_swap_limit io_weight devices disks nics"
    ),
    "MemoryBackingSpec": "hugepages page_size source shared locked preallocate discard merge",
    "MigrationSpec": (
        "live storage bandwidth max_downtime deadline auto_converge post_copy compression parallel peer_to_peer transport "
        "destination_uri"
    ),
    "NICLimits": "inbound_bytes_per_second outbound_bytes_per_second",
    "NICSpec": (
        "network bridge device user mac model mtu queues link_up vlan portgroup filter isolated inbound_bytes_per_second "
        "outbound_bytes_per_second boot_order"
    ),
    "NICUpdate": (
        "network bridge device user mac model mtu queues link_up vlan portgroup filter isolated inbound_bytes_per_second "
        "outbound_bytes_per_second boot_order"
    ),
    "NUMANodeSpec": "vcpus memory host_nodes",
    "NetworkSpec": (
        "name type bridge device cidr dhcp_start dhcp_end dhcp_hosts dns_hosts domain portgroups vlan openvswitch mtu "
        "stp forward_delay autostart"
    ),
    "PortGroupSpec": "name default vlan inbound_bytes_per_second outbound_bytes_per_second",
    "SecurityLabelSpec": "model type label base_label relabel",
    "SerialSpec": "type log tcp unix file",
    "SnapshotSpec": "name description memory quiesce kind",
    "StoragePoolSpec": "name type path source_host source_path source_name autostart",
    "TemplateSpec": "name description tags seal",
    "TrafficFilterSpec": "name rules default anti_spoofing native",
    "VMSpec": (
        "name id vcpus vcpus_max memory memory_max max_memory arch machine virt_type cpu_mode cpu_model cpu_features topology numa "
        "memory_backing iothreads features clock launch_security watchdog vsock firmware tpm kernel iso disks nics serial channels "
        "boot_menu system_info cpuset confined security_labels panic usb_controller scsi_controller pcie_ports virtio_serial_ports "
        "display video sound host_devices filesystems balloon guest_agent rng cloud_init tags metadata description autostart start "
        "node"
    ),
    "VMUpdate": (
        "vcpus memory description tags metadata autostart vcpus_max cpu_mode cpu_model cpu_features topology memory_backing "
        "boot_order kernel features clock watchdog vsock tpm display video sound balloon rng"
    ),
    "VolumeSpec": "name capacity format backing preallocate encryption",
    "template_deploy": (
        "name id vcpus vcpus_max memory memory_max disks nics cloud_init tags metadata description autostart start"
    ),
}

REASONS = {
    "LimitsSpec.cpu_guarantee_mhz": "QEMU has no guarantees; cpu_shares divides the CPUs when they are scarce",
    "LimitsSpec.memory_guarantee": "QEMU has no guarantees; memory_backing.locked keeps memory from being swapped",
    "MigrationSpec.persistent": "a VM stays defined where it goes to",
    "MigrationSpec.node": "a libvirt host is one node",
    "MigrationSpec.pool": "give storage=copy; disks go to the pools of the same names",
    "MigrationSpec.folder": "libvirt has no folders",
    "MigrationSpec.networks": "the network of the same name is used; change the NIC before or afterwards",
    "VMSpec.native": "vm import takes a libvirt definition",
}
"""Why other fields are refused, by spec and field. A VM from a template has the template's hardware."""

__all__ = ["FIELDS", "REASONS"]
