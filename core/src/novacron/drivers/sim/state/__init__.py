"""The state of a simulated host: VMs, disks, volumes, pools, networks, and the faults that tests set."""
