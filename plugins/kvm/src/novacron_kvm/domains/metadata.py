"""NovaCron's own elements in a domain's <metadata>: they are in the hypervisor, survive us and travel with the VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libvirt

from novacron_kvm.definitions import changing
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import NAMESPACE, parse

if TYPE_CHECKING:
    from novacron_kvm.connection import KVMConnection

BOTH = libvirt.VIR_DOMAIN_AFFECT_CONFIG | libvirt.VIR_DOMAIN_AFFECT_LIVE
CONFIG, LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE


def where(domain: Any) -> int:
    """Return which definitions of a domain a change is for: all that it has."""
    if not domain.isActive():
        return int(CONFIG)
    return int(BOTH if domain.isPersistent() else LIVE)


def set_element(domain: Any, key: str, namespace: str, text: str | None) -> None:
    """Set the element of a namespace, or remove it when `text` is None.

    Args:
        key: the prefix that libvirt gives the namespace; `text` must not declare it itself, or libvirt refuses it.
        text: an element without a namespace.
    """
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, key, namespace, where(domain))


def element(domain: Any, namespace: str) -> str | None:
    """Return the element of a namespace as text, None when the domain has none."""
    try:
        return str(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, namespace, 0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def facts_of(domain: Any) -> VMFacts:
    """Return NovaCron's own facts about a VM."""
    return VMFacts.read(parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0)))


def change_facts(connection: KVMConnection, domain: Any, before: VMFacts, after: VMFacts) -> None:
    """Apply a change of facts to those that a VM has now: what another process has changed since `before` was read stays.

    Raises:
        BusyError: another process changes the definition for too long.
    """
    with changing(connection, domain):
        now = facts_of(domain)
        merged = now.merged(before, after)
        if merged != now:
            set_facts(domain, merged)


def set_facts(domain: Any, facts: VMFacts) -> None:
    """Store NovaCron's own facts about a VM in all definitions that it has. The caller holds them with `changing`."""
    set_element(domain, "novacron", NAMESPACE, facts.plain_element())


__all__ = ["change_facts", "element", "facts_of", "set_element", "set_facts", "where"]
