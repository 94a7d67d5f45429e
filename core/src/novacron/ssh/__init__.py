"""Logs in to VMs by SSH: the arguments of OpenSSH's `ssh` and `scp`, and entries for `ssh_config`. Nothing here connects anywhere."""
