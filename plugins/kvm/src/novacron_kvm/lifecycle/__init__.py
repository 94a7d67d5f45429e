"""Making and removing VMs: imported when that is asked for, so that a listing loads little."""
