"""Drivers that come with the core."""
