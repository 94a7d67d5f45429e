"""The devices of a VM: a module for each kind, each with a function from the spec to XML."""
