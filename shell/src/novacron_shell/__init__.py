"""The `novacron` command line and the interactive shell."""
