"""Operating system images: where they come from, how they are fetched and checked.

`catalogue` knows the usual distributions by name, `download` fetches a file so that an interrupted download continues,
`checksums` reads the distributions' checksum files, and `inspection` looks into an image before it is used.
`host.images` (`novacron.handles.images`) puts them into a host's storage pool.
"""
