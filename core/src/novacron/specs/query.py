"""Which VMs, in which order, how many: the filter of a listing. Light: it loads no pydantic, for listing must be quick."""

from __future__ import annotations

import base64
import fnmatch
from collections.abc import Iterable
from typing import Any, Literal, TypedDict

import msgspec

from novacron.errors import UNKNOWN, InvalidSpecError, SpecProblem
from novacron.records.vm import VM, Page, Status

SORTABLE = ("name", "status", "vcpus", "memory_bytes", "id", "node")
_ALIASES = {"memory": "memory_bytes"}


class VMQueryFields(TypedDict, total=False):
    """The fields of `VMQuery` as keyword arguments, for type checkers."""

    name: str | None
    status: str | Iterable[str] | None
    tag: str | Iterable[str] | None
    node: str | None
    folder: str | None
    sort: str
    limit: int | None
    cursor: str | None
    detail: Literal["summary", "full"]


class VMQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter over VMs: all given conditions must hold.

    Attributes:
        name: Only VMs whose name matches this shell pattern, such as "web*".
        status: Only VMs in this status, or in one of several.
        tag: Only VMs with this tag, or with all of several.
        node: Only VMs on this node.
        folder: Only VMs in this folder and below: its path "/DC0/vm/prod", or the end of its path, "prod".
        sort: Field to sort by; a minus sign sorts in descending order: "-memory". Default: "name".
        limit: Largest number of VMs. Without it all are returned.
        cursor: Continues after an earlier page: its `next`. Without it the list begins with the first VM.
        detail: "full" reads all fields, including devices and tags; "summary" is faster. A filter by tag implies "full". Default:
            "summary".

    Example:
        >>> VMQuery.of(status="running", sort="-memory").sort
        '-memory_bytes'
    """

    name: str | None = None
    status: tuple[Status, ...] | None = None
    tag: str | tuple[str, ...] | None = None
    node: str | None = None
    folder: str | None = None
    sort: str = "name"
    limit: int | None = None
    cursor: str | None = None
    detail: Literal["summary", "full"] = "summary"

    @classmethod
    def of(cls, **fields: Any) -> VMQuery:
        """Return a query from a user's arguments.

        Raises:
            InvalidSpecError: unknown field, status, sort key, or a limit below 1.
        """
        problems = [
            SpecProblem(name, UNKNOWN, "one of the fields " + ", ".join(cls.__struct_fields__))
            for name, value in fields.items()
            if name not in cls.__struct_fields__
        ]
        statuses = fields.get("status")
        if isinstance(statuses, str):
            fields["status"] = statuses = (statuses,)
        if statuses is not None:
            fields["status"] = tuple(statuses)
            known = Status.__args__  # type: ignore[attr-defined]
            problems += [SpecProblem("status", s, "one of " + ", ".join(known)) for s in fields["status"] if s not in known]
        sort = str(fields.get("sort") or "name")
        key = sort.removeprefix("-")
        key = _ALIASES.get(key, key)
        fields["sort"] = ("-" if sort.startswith("-") else "") + key
        if key not in SORTABLE:
            problems.append(SpecProblem("sort", sort, "one of " + ", ".join(SORTABLE) + ", with - before it for descending"))
        limit = fields.get("limit")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            problems.append(SpecProblem("limit", str(limit), "a whole number of at least 1"))
        if fields.get("detail", "summary") not in ("summary", "full"):
            problems.append(SpecProblem("detail", str(fields["detail"]), "summary or full"))
        if fields.get("cursor") is not None and _decode(fields["cursor"]) is None:
            problems.append(SpecProblem("cursor", str(fields["cursor"]), "the `next` of an earlier page"))
        if problems:
            raise InvalidSpecError("invalid VM query", problems=problems)
        if fields.get("tag"):
            fields["detail"] = "full"
            if not isinstance(fields["tag"], str):
                fields["tag"] = tuple(fields["tag"])
        return cls(**fields)

    @property
    def tags(self) -> frozenset[str]:
        """The tags that a VM must have."""
        return frozenset((self.tag,) if isinstance(self.tag, str) else self.tag or ())

    def without_page(self) -> VMQuery:
        """Return the query for all VMs that match, in no particular order: for one host of several, whose lists are merged."""
        return msgspec.structs.replace(self, limit=None, cursor=None, sort="name")

    def matches(self, vm: VM) -> bool:
        """Whether a record fits all conditions."""
        return (
            (self.status is None or vm.status in self.status)
            and (self.name is None or fnmatch.fnmatchcase(vm.name, self.name))
            and (self.node is None or vm.node == self.node)
            and (self.folder is None or _in_folder(vm.folder, self.folder))
            and (self.tag is None or self.tags <= (vm.tags or frozenset()))
        )

    def page(self, vms: Iterable[VM]) -> Page[VM]:
        """Return the asked part of `vms`: filtered, sorted (ties by name, then id), from the cursor on, at most `limit`."""
        unfiltered = all(value is None for value in (self.status, self.name, self.node, self.folder, self.tag))
        found = list(vms) if unfiltered else [vm for vm in vms if self.matches(vm)]
        key, reverse = self.sort.removeprefix("-"), self.sort.startswith("-")
        if key == "name":
            found.sort(key=lambda vm: (vm.name, vm.id), reverse=reverse)
        else:
            found.sort(key=lambda vm: (vm.name, vm.id))
            found.sort(key=lambda vm: (getattr(vm, key) is None, getattr(vm, key)), reverse=reverse)
        start = 0
        if self.cursor:
            after = _decode(self.cursor)
            start = next((i + 1 for i, vm in enumerate(found) if vm.id == after), len(found))
        items = found[start:] if self.limit is None else found[start : start + self.limit]
        more = items and start + len(items) < len(found)
        return Page(items=tuple(items), total=len(found), next=_encode(items[-1].id) if more else None)


def _in_folder(folder: str | None, wanted: str) -> bool:
    """Whether a folder is the wanted one or below it."""
    inside = f"{folder or ''}/"
    return inside.startswith(f"{wanted.rstrip('/')}/") if wanted.startswith("/") else f"/{wanted.strip('/')}/" in inside


def _encode(identity: str) -> str:
    return base64.urlsafe_b64encode(identity.encode()).decode().rstrip("=")


def _decode(cursor: str) -> str | None:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (ValueError, UnicodeDecodeError):
        return None


__all__ = ["VMQuery", "VMQueryFields"]
