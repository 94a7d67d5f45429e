"""What a host has, as records: one VM, all VMs, and the statistics of all of them in one call."""
