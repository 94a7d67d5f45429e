"""vSphere's own tags, as NovaCron's "category:name", where the server has its REST API.

A tag `category:name` that vSphere has is vSphere's: it is attached to the VM, and other tools see it. Every other tag is NovaCron's alone
and goes with the VM's facts. Categories and tags are never made here: they are the whole vCenter's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from novacron.errors import InvalidStateError
from novacron_vmware.rest import RestAPI

BATCH = 1000
"""VMs in one call."""
REMEMBERED = 300.0
"""Seconds for which a tag's name is not asked for again."""
TAG, CATEGORY, ASSOCIATION = "tagging/tag", "tagging/category", "tagging/tag-association"


class VSphereTags:
    """The tags of one connection's server. Safe for many threads."""

    def __init__(self, api: RestAPI) -> None:
        self._api = api
        self._guard = threading.Lock()
        self._names: dict[str, tuple[float, str]] = {}

    def of(self, things: Sequence[Any]) -> dict[Any, frozenset[str]]:
        """Return the vSphere tags that objects have, of those that have any: one call for a batch, one for each tag not seen before."""
        if not things or not self._api.offered():
            return {}
        found: dict[str, list[str]] = {}
        for start in range(0, len(things), BATCH):
            asked = [_reference(thing) for thing in things[start : start + BATCH]]
            answer = self._api.call("POST", ASSOCIATION, action="list-attached-tags-on-objects", body={"object_ids": asked})
            found |= {each["object_id"]["id"]: each.get("tag_ids") or [] for each in answer or ()}
        names = self._named({tag for tags in found.values() for tag in tags})
        named = {thing: frozenset(names[tag] for tag in found.get(thing._moId, ()) if tag in names) for thing in things}
        return {thing: tags for thing, tags in named.items() if tags}

    def attach(
        self, thing: Any, wanted: Iterable[str], resource: str, *, ours: Iterable[str] = ()
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Attach those of the wanted tags that vSphere has. Tags that others attached are never detached.

        Args:
            thing: vSphere's VM.
            wanted: all tags that it is to have.
            resource: its name, for errors.
            ours: the vSphere tags that NovaCron attached before; those that are not wanted any more are detached.

        Returns:
            The wanted tags that vSphere does not have, which are NovaCron's own, and the vSphere tags that NovaCron has attached.

        Raises:
            HostConnectionError: the server can't say now which tags it has.
            InvalidStateError: vSphere won't have it so, for example two tags of a category of which an object may have one.
        """
        wanted = frozenset(wanted)
        if not self._api.offered(certain=True):
            return wanted, frozenset(ours)
        now = self.of([thing]).get(thing, frozenset())
        maybe = {tag for tag in wanted if ":" in tag}
        if not (now or maybe):
            return wanted, frozenset()
        known = {name: tag for tag, name in self._named(self._api.call("GET", TAG) or ()).items()}
        there = maybe & set(known)
        gone = (now & frozenset(ours)) - there
        self._change(thing, "detach-multiple-tags-from-object", [known[n] for n in gone if n in known], resource)
        try:
            self._change(thing, "attach-multiple-tags-to-object", [known[n] for n in there - now], resource)
        except BaseException:
            self._change(thing, "detach-multiple-tags-from-object", [known[n] for n in there - now], resource)
            self._change(thing, "attach-multiple-tags-to-object", [known[n] for n in gone if n in known], resource)
            raise
        return wanted - there, frozenset((frozenset(ours) & there) | (there - now))

    def close(self) -> None:
        """Log out."""
        self._api.close()

    def _change(self, thing: Any, action: str, tags: Sequence[str], resource: str) -> None:
        if not tags:
            return
        answer = self._api.call("POST", ASSOCIATION, action=action, body={"object_id": _reference(thing), "tag_ids": list(tags)})
        if not answer.get("success", True):
            why = "; ".join(str(error.get("message") or error) for error in answer.get("error_messages") or ())
            raise InvalidStateError(
                f"vSphere does not change the tags of {resource!r}: {why}",
                resource=resource,
                details={"answer": answer},
                hint="look at their categories: how many tags of one an object may have, and which kinds of objects",
            )

    def _named(self, tags: Iterable[str]) -> dict[str, str]:
        """Return the names of tags, "category:name"; those that were deleted meanwhile are left out."""
        oldest = time.monotonic() - REMEMBERED
        with self._guard:
            known = {tag: self._names[tag] for tag in tags if tag in self._names and self._names[tag][0] > oldest}
        categories: dict[str, str] = {}
        for tag in sorted(set(tags) - set(known)):
            if (about := self._api.find(TAG, tag)) is None:
                continue
            category = about["category_id"]
            if category not in categories:
                categories[category] = (self._api.find(CATEGORY, category) or {}).get("name", "")
            known[tag] = time.monotonic(), f"{categories[category]}:{about['name']}"
        with self._guard:
            self._names |= known
        return {tag: name for tag, (_, name) in known.items()}


def _reference(thing: Any) -> dict[str, str]:
    return {"type": "VirtualMachine", "id": thing._moId}


__all__ = ["VSphereTags"]
