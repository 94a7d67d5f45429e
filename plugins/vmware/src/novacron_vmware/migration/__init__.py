"""Migration between vCenters; used by the operations modules."""
