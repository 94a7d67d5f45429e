"""Jobs that libvirt and QEMU run: block jobs of a disk, and the job of a domain (migration, save, snapshot with memory)."""
