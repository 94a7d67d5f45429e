"""Serial consoles; used by the operations modules."""
