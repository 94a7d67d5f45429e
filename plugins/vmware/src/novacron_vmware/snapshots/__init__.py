"""What the snapshots area calculates; used by the operations module."""
