"""What operations can't do on vSphere, and on what each was proved: data for capabilities, docs and the conformance suite."""

from __future__ import annotations


def limits() -> dict[str, str]:
    """Return what operations can't do here, or how far."""
    return {
        "host_cpu_baseline": "by a vCenter whose nodes tell their highest EVC mode",
        "pinning_set": "the whole VM, not single vCPUs",
        "limits_set": "CPU and memory only; no period, and none for parts of a VM",
        "vm_clone_instant": "by a vCenter",
        "vm_migrate": "between nodes and datacenters; to another vCenter (proved on a faked boundary) with storage='copy'",
        "network_create": "bridged and isolated ones: port groups",
        "network_update": "the VLAN",
        "pool_create": "NFS; on a single ESXi also a directory",
        "volume_resize": "larger only",
        "snapshot_create": "external ones, which is all that vSphere has",
        "template_create": "nothing is sealed: a VM deployed from it gets an identity of its own through cloud-init",
        "guest_exec": "Linux guests; a user of the guest's",
        "console_open": "network serial ports by tcp or telnet, of VMs created with native={'serial_port': ...}",
        "guest_password_set": "Linux guests; their user has to be root",  # nosec B105 - an explanation
        "guest_ssh_keys_set": "Linux guests; their user has to be root, or the one whose keys they are",
        "vm_update": "autostart on a single ESXi only; hardware of a stopped VM",
        "device_attach": "PCI devices, to a stopped VM",
        "device_detach": "from a stopped VM",
        "disk_limit": "total_iops only",
        "vm_import": "a ConfigSpec in XML, as vm_export writes it, its disks must be there; or the path of a .vmx",
        "filter_update": "anti_spoofing only: a port group's security policy",
    }


FAKED = (
    "host_cpu_baseline",
    "vm_clone_instant",
    "vm_shutdown",
    "vm_reboot",
    "snapshot_revert",
    "vm_migrate_storage",
    "volume_wipe",
    "console_open",
    "console_endpoint",
    "console_screenshot",
    "console_send_keys",
    "device_attach",
    "guest_info",
    "guest_exec",
    "guest_file_read",
    "guest_file_write",
    "guest_password_set",
    "guest_ssh_keys_set",
    "appliance_export",
    "appliance_import",
)
"""Operations of which govmomi's simulator lacks a part, so that the tests' own stands in for it (novacron_lab/vcsim)."""


def proofs() -> dict[str, str]:
    """Return on what operations are proved: no vSphere is to be had for the tests."""
    return {"": "a simulator"} | dict.fromkeys(FAKED, "a faked boundary")


__all__ = ["FAKED", "limits", "proofs"]
