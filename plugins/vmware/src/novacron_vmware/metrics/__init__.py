"""Performance samples and what is calculated from them; used by the operations modules."""
