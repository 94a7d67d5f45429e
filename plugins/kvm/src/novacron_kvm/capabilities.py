"""What a libvirt host can run, and whether KVM really runs guests there.

`/dev/kvm` that opens is not enough: under nested virtualisation a guest may never leave its firmware. The probe starts a tiny transient
VM with nothing to boot from, told to reboot at once and to end on reboot: where KVM works it is gone within a second or two.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import Any

import libvirt

from novacron.state import state_directory
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, text_of

PROBE_SECONDS = 5.0
PROBE_VALID_SECONDS = 86400.0
_guard = threading.Lock()


def host_uuid(connection: Any) -> str:
    """Return the identity of a libvirt host."""
    return text_of(parse(connection.getCapabilities()), "host/uuid") or ""


def guests(connection: Any) -> dict[str, dict[str, Any]]:
    """Return for each architecture its virt types and machines."""
    found: dict[str, dict[str, Any]] = {}
    for guest in parse(connection.getCapabilities()).iterfind("guest"):
        arch = guest.find("arch")
        if text_of(guest, "os_type") == "hvm" and arch is not None:
            found[arch.get("name")] = {
                "virt_types": tuple(d.get("type") for d in arch.iterfind("domain")),
                "machines": tuple(m.text for m in arch.iterfind("machine")),
            }
    return found


def best_virt_type(connection: KVMConnection, arch: str) -> tuple[str, str]:
    """Return the virt type to use for an architecture, and why.

    Returns:
        ("kvm", reason) only where a probe showed that KVM runs guests; else ("qemu", reason), or the only one that there is.
    """
    read = connection.read
    with translated("host_capabilities"):
        known = guests(read)
        types = known.get(arch, {}).get("virt_types", ())
        if "kvm" not in types:
            return (types[0] if types else "qemu"), "the host offers no KVM for this architecture"
        identity = host_uuid(read)
    with _guard:
        works = _remembered(identity)
        if works is None:
            works = _probe(connection, arch)
            _remember(identity, works)
    if works:
        return "kvm", "a probe showed that KVM runs guests"
    return "qemu", "KVM is offered, but a probe guest did not get out of its firmware; emulating (TCG), which is slower"


def _probe(connection: KVMConnection, arch: str, virt_type: str = "kvm") -> bool:
    definition = f"""<domain type='{virt_type}'><name>novacron-probe-{uuid.uuid4().hex[:8]}</name><memory unit='MiB'>32</memory>
    <vcpu>1</vcpu><os><type arch='{arch}'>hvm</type><boot dev='network'/><bios rebootTimeout='0'/></os><features><acpi/></features>
    <on_reboot>destroy</on_reboot><devices><memballoon model='none'/></devices></domain>"""
    with connection.slow() as slow:
        try:
            domain = slow.createXML(definition, libvirt.VIR_DOMAIN_START_VALIDATE)
        except libvirt.libvirtError:
            return False
        deadline = time.monotonic() + PROBE_SECONDS
        try:
            while time.monotonic() < deadline:
                if not domain.isActive():
                    return True
                time.sleep(0.05)
            return False
        except libvirt.libvirtError as error:
            return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)
        finally:
            try:
                domain.destroy()
            except libvirt.libvirtError:
                pass  # it has ended by itself


def _remembered(identity: str) -> bool | None:
    try:
        found = json.loads((state_directory() / "kvm-probe.json").read_text())[identity]
        return bool(found["works"]) if time.time() - found["at"] < PROBE_VALID_SECONDS else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(identity: str, works: bool) -> None:
    file = state_directory(create=True) / "kvm-probe.json"
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        known = {}
    known[identity] = {"works": works, "at": time.time()}
    file.write_text(json.dumps(known))


__all__ = ["best_virt_type", "guests", "host_uuid"]
