"""Creating, cloning and describing VMs; used by the operations modules."""
