"""External snapshots, merging of their files, and the metadata of snapshots."""
