"""The area objects of the driver: one file per area of the contract, as in `novacron.hookspecs`."""
