"""The areas of the driver: one module for each area of the contract, named as in `novacron.hookspecs`.

What serves one area stands in a folder beside this one: `snapshots/`, `migration/`, `storage/`, `domains/`, `inventory/`, `jobs/`.
"""
