"""The checks of libvirt hosts and their VMs."""
