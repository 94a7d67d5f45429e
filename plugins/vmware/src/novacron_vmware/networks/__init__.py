"""Port groups of standard and distributed switches; used by the operations modules."""
