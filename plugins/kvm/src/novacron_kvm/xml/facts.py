"""What NovaCron itself knows about a VM, stored as JSON in the <metadata> of its definition, where it survives and travels with the VM."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from novacron_kvm.xml.markup import Markup, element, text
from novacron_kvm.xml.parsing import NAMESPACE, parse, text_of


class VMFacts(msgspec.Struct, frozen=True, kw_only=True):
    """NovaCron's own facts about one VM. Methods return changed copies.

    Attributes:
        tags: labels that a user gave, sorted.
        metadata: keys and values that a user gave.
        made: paths of the files that NovaCron made for this VM; deleting the VM deletes them.
        chain: paths of the files that snapshots froze, and of the overlays above them; only these may be merged.
        secrets: the name of the secret that opens each encrypted file, by path.
        created_at: when the VM was created, in ISO 8601.
        switching: the file that each disk is being switched to, by the disk's target; empty unless a block job is under way.
        switched: targets of the disks of a VM lost by libvirtd that QEMU was seen to have switched.
        other: facts that this version does not know, kept as they are.

    Example:
        >>> facts = VMFacts(made=("/pool/a.qcow2",)).with_overlay("/pool/a.qcow2", "/pool/b.qcow2")
        >>> facts.made, facts.chain
        (('/pool/a.qcow2', '/pool/b.qcow2'), ('/pool/a.qcow2', '/pool/b.qcow2'))
        >>> facts.without_files(["/pool/b.qcow2"]).made
        ('/pool/a.qcow2',)
    """

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = {}
    made: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    secrets: Mapping[str, str] = {}
    created_at: str | None = None
    switching: Mapping[str, str] = {}
    switched: tuple[str, ...] = ()
    other: Mapping[str, Any] = {}

    @classmethod
    def read(cls, root: Any) -> VMFacts:
        """Return the facts of a domain's root element. Facts of a wrong type, which another tool wrote, are left out."""
        written = text_of(root, f"metadata/{{{NAMESPACE}}}vm")
        if not written:
            return cls()
        try:
            found = json.loads(written)
        except ValueError:
            return cls()
        if not isinstance(found, dict):
            return cls()
        known: dict[str, Any] = {name: _texts(found.pop(name, ())) for name in ("tags", "made", "chain", "switched")}
        known |= {name: _mapping(found.pop(name, {})) for name in ("metadata", "secrets", "switching")}
        created_at = found.pop("created_at", None)
        return cls(**known, created_at=created_at if isinstance(created_at, str) else None, other=found)

    def changed(self, **fields: Any) -> VMFacts:
        """Return these facts with some of them replaced."""
        return msgspec.structs.replace(self, **fields)

    def merged(self, before: VMFacts, after: VMFacts) -> VMFacts:
        """Return these facts with what changed from `before` to `after`: what others have changed meanwhile stays.

        Example:
            >>> before = VMFacts(made=("/pool/a",))
            >>> VMFacts(made=("/pool/a", "/pool/b")).merged(before, before.with_files(["/pool/c"])).made
            ('/pool/a', '/pool/b', '/pool/c')
        """
        if self == before:
            return after
        lists = {name: _merged(name, self, before, after) for name in ("tags", "made", "chain", "switched")}
        lists |= {name: tuple(sorted(lists[name])) for name in ("tags", "chain", "switched")}
        maps = {name: dict(_merged(name, self, before, after)) for name in ("metadata", "secrets", "switching")}
        return self.changed(**lists, **maps)

    def with_files(self, paths: Iterable[str]) -> VMFacts:
        """Note files that were made for the VM."""
        return self.changed(made=tuple(dict.fromkeys((*self.made, *paths))))

    def without_files(self, paths: Collection[str]) -> VMFacts:
        """Forget files: they are deleted, or belong to somebody else from now on."""
        secrets = {path: name for path, name in self.secrets.items() if path not in paths}
        return self.changed(
            made=tuple(path for path in self.made if path not in paths),
            chain=tuple(path for path in self.chain if path not in paths),
            secrets=secrets,
        )

    def with_overlay(self, base: str, overlay: str) -> VMFacts:
        """Note that a snapshot froze a file and that the VM writes to an overlay above it, which is the VM's if the file is."""
        chain = self.with_chain((base, overlay))
        return chain.with_files([overlay]) if base in self.made else chain

    def with_chain(self, paths: Iterable[str]) -> VMFacts:
        """Note files that snapshots froze or made."""
        return self.changed(chain=tuple(sorted({*self.chain, *paths})))

    def with_secret(self, path: str, name: str) -> VMFacts:
        """Note the name of the secret that opens an encrypted file."""
        return self.changed(secrets={**self.secrets, path: name})

    def with_labels(self, tags: Iterable[str] | None, metadata: Mapping[str, str | None] | None) -> VMFacts:
        """Replace the tags and merge the metadata, as far as they are given; None as a value removes a key."""
        merged = {**self.metadata, **(metadata or {})}
        kept = {key: value for key, value in merged.items() if value is not None}
        return self.changed(tags=self.tags if tags is None else tuple(sorted(tags)), metadata=kept)

    def imported(self, encrypted: Collection[str]) -> VMFacts:
        """Return what may be believed of a definition that comes from outside: whatever it says, NovaCron made none of its files.

        Args:
            encrypted: the paths of the encrypted disks that the definition has; secrets of other files are left out.
        """
        secrets = {path: name for path, name in self.secrets.items() if path in encrypted}
        return self.changed(made=(), chain=(), secrets=secrets, switching={}, switched=())

    def markup(self) -> Markup:
        """Return the content of a new VM's <metadata>."""
        return text("novacron:vm", self.json(), **{"xmlns:novacron": NAMESPACE})

    def json(self) -> str:
        """Return the facts as they are stored; empty ones are left out."""
        known = {field: getattr(self, field) for field in self.__struct_fields__ if field != "other"}
        return msgspec.json.encode({**self.other, **{k: v for k, v in known.items() if v}}, order="sorted").decode()

    def plain_element(self) -> Markup:
        """Return the element without its namespace, which libvirt's setMetadata adds."""
        return text("vm", self.json())

    def write(self, root: Any) -> None:
        """Replace the facts in a domain's root element by these."""
        metadata = root.find("metadata")
        if metadata is None:
            metadata = parse(element("metadata"))
            root.append(metadata)
        old = metadata.findall(f"{{{NAMESPACE}}}vm")
        new = parse(self.markup())
        if old:
            metadata.replace(old[0], new)
        else:
            metadata.append(new)
        for more in old[1:]:
            metadata.remove(more)


def metadata_xml(facts: VMFacts) -> Markup:
    """Return the <metadata> of a new VM."""
    return element("metadata", facts.markup())


def _merged(name: str, now: VMFacts, before: VMFacts, after: VMFacts) -> tuple[Any, ...]:
    """Return a field of `now` without what was removed from it, and with what was added to it, between `before` and `after`."""
    mine, old, new = (
        tuple(held.items()) if isinstance(held := getattr(facts, name), Mapping) else held for facts in (now, before, after)
    )
    removed = {*old} - {*new}
    return (*(one for one in mine if one not in removed), *(one for one in new if one not in {*old} and one not in mine))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, (list, tuple)) else ()


def _mapping(value: object) -> dict[str, str]:
    return {str(key): str(one) for key, one in value.items()} if isinstance(value, dict) else {}


__all__ = ["VMFacts", "metadata_xml"]
