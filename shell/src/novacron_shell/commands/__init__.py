"""One module for each group of commands; each has `COMMANDS`, its commands by name."""
