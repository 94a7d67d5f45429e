"""Parts of a domain's definition that several areas change: devices, metadata, limits, NICs."""
