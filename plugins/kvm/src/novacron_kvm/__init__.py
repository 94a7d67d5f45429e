"""NovaCron's driver for KVM and QEMU through libvirt."""
