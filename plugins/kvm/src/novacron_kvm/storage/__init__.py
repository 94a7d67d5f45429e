"""Files in storage pools: volumes, disks, backing chains, encryption, copies, state files."""
