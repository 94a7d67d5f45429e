"""Lists of things that other connections make and delete meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import libvirt

from novacron.errors import NotFoundError
from novacron_kvm.errors import mapped

Record = TypeVar("Record")


def still_there(items: Iterable[Any], record: Callable[[Any], Record]) -> Iterator[Record]:
    """Yield the record of each of libvirt's objects, without those that were deleted after the list of them was made.

    Raises:
        libvirtError, NovaCronError: a record can't be read for any other reason.
    """
    for item in items:
        try:
            yield record(item)
        except NotFoundError:
            continue
        except libvirt.libvirtError as error:
            if not isinstance(mapped(error), NotFoundError):
                raise


__all__ = ["still_there"]
