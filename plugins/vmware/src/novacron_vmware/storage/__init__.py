"""Datastores and the files in them; used by the operations modules."""
