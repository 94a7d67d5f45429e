"""What a simulated host consists of: VMs, disks, volumes, pools, networks, and the faults that tests set."""
