"""What people hold: hosts, VMs and their collections. A handle never does I/O in an attribute, `repr` or `dir`."""
