"""NovaCron's driver for VMware vSphere through pyvmomi."""
