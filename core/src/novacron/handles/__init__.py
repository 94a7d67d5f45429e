"""The objects that users work with: hosts, VMs and their collections. Attributes, `repr` and `dir` of a handle do no I/O."""
