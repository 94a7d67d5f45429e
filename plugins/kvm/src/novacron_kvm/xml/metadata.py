"""NovaCron's own facts about a VM, as they stand in its <metadata>: tags, key-value metadata, the files made for it, its age."""

from __future__ import annotations

from typing import Any

import msgspec

from novacron_kvm.xml.markup import Markup, element, text
from novacron_kvm.xml.parsing import NAMESPACE, parse


def metadata_xml(facts: dict[str, Any]) -> Markup:
    """Return the <metadata> of a new VM."""
    return element("metadata", _facts_xml(facts))


def facts_element(facts: dict[str, Any]) -> Any:
    """Return NovaCron's element for <metadata>."""
    return parse(_facts_xml(facts))


def plain_facts(facts: dict[str, Any]) -> Markup:
    """Return NovaCron's element without its namespace, which libvirt's setMetadata adds."""
    return text("vm", _text(facts))


def _facts_xml(facts: dict[str, Any]) -> Markup:
    return text("novacron:vm", _text(facts), **{"xmlns:novacron": NAMESPACE})


def _text(facts: dict[str, Any]) -> str:
    return msgspec.json.encode(facts, order="sorted").decode()


__all__ = ["facts_element", "metadata_xml", "plain_facts"]
