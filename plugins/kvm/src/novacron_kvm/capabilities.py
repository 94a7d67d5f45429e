"""What a libvirt host can run, and whether KVM really runs guests there.

`/dev/kvm` that opens is not enough: under nested virtualisation every exit may be emulated in software, so that a guest creeps
(measured: the firmware ten times slower than under TCG, a kernel that never gets itself decompressed). The probe times the same tiny
transient VM, that runs through its firmware and ends on the reboot after it, emulated and under KVM: an accelerator must not be slower.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import libvirt

from novacron.errors import InvalidSpecError, SpecProblem
from novacron.state import StateDirectory, open_private
from novacron_kvm.connection import KVMConnection
from novacron_kvm.errors import translated
from novacron_kvm.xml.parsing import parse, text_of

if TYPE_CHECKING:
    from novacron.specs.hardware import SecurityLabelSpec

PROBE_SECONDS = 5.0
"""What a probe guest may take where there is nothing to compare with; 0.2 s is usual."""
PROBE_VALID_SECONDS = 86400.0


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


def refuse_unknown_security_models(connection: Any, labels: Iterable[SecurityLabelSpec]) -> None:
    """Refuse labels of security drivers that the host does not run.

    Raises:
        InvalidSpecError: with a problem for each such label.
    """
    if not (asked := [*enumerate(labels)]):
        return
    there = [model.text for model in parse(connection.getCapabilities()).iterfind("host/secmodel/model") if model.text != "none"]
    allowed = f"one of {', '.join(there)}" if there else "left out: the host runs no security driver"
    problems = [
        SpecProblem(f"security_labels.{number}.model", label.model, allowed)
        for number, label in asked
        if label.model not in there
    ]
    if problems:
        raise InvalidSpecError("this host can't confine a VM like that", problems=problems)


def best_virt_type(connection: KVMConnection, arch: str) -> tuple[str, str]:
    """Return the virt type to use for an architecture, and why.

    Returns:
        ("kvm", reason) only where a probe showed that KVM runs guests; else ("qemu", reason), or the only one that there is.
    """
    read = connection.read
    with translated():
        known = guests(read)
        types = known.get(arch, {}).get("virt_types", ())
        if "kvm" not in types:
            return (types[0] if types else "qemu"), "the host offers no KVM for this architecture"
        identity = connection.identity
    with _lock_of(identity):
        reason = _remembered(connection.state, identity)
        if reason is None:
            reason = _probe(connection, arch, compare="qemu" in types)
            _remember(connection.state, identity, reason)
    return ("qemu", reason) if reason else ("kvm", "a probe showed that KVM runs guests")


@cache
def _lock_of(what: str) -> threading.Lock:
    """Return the lock of a host's probe (a second one at the same time would slow down the first), or of the file with all answers."""
    return threading.Lock()


def _probe(connection: KVMConnection, arch: str, *, compare: bool) -> str:
    """Return why KVM is not to be used, empty when it is."""
    emulated = _firmware_seconds(connection, arch, "qemu", PROBE_SECONDS) if compare else None
    limit = 2 * emulated + 0.3 if emulated is not None else PROBE_SECONDS
    if _firmware_seconds(connection, arch, "kvm", limit) is not None:
        return ""
    than = f", emulated it took {emulated:.1f} s" if emulated is not None else ""
    return f"KVM is offered, but a probe guest did not get through its firmware in {limit:.1f} s{than}: emulating (TCG)"


def _firmware_seconds(connection: KVMConnection, arch: str, virt_type: str, limit: float) -> float | None:
    """Return how long the probe guest ran until it rebooted, None when it did not start or took more than `limit` seconds."""
    definition = f"""<domain type='{virt_type}'><name>novacron-probe-{uuid.uuid4().hex[:8]}</name><memory unit='MiB'>32</memory>
    <vcpu>1</vcpu><os><type arch='{arch}'>hvm</type><boot dev='network'/><bios rebootTimeout='0'/></os><features><acpi/></features>
    <on_reboot>destroy</on_reboot><devices><memballoon model='none'/></devices></domain>"""
    with connection.dedicated() as conn:
        try:
            domain = conn.createXML(definition, libvirt.VIR_DOMAIN_START_VALIDATE)
        except libvirt.libvirtError:
            return None
        began = time.monotonic()
        try:
            while (seconds := time.monotonic() - began) < limit:
                if not domain.isActive():
                    return seconds
                time.sleep(0.02)
            return None
        except libvirt.libvirtError as error:
            return time.monotonic() - began if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN else None
        finally:
            try:
                domain.destroy()
            except libvirt.libvirtError:
                pass  # it has ended by itself


def _remembered(state: StateDirectory, identity: str) -> str | None:
    try:
        found = json.loads((state / "kvm-probe.json").read_text())[identity]
        return str(found["reason"]) if time.time() - found["at"] < PROBE_VALID_SECONDS else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(state: StateDirectory, identity: str, reason: str) -> None:
    file = state.create() / "kvm-probe.json"
    with _lock_of(str(file)):
        try:
            known = dict(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            known = {}
        known[identity] = {"reason": reason, "at": time.time()}
        with os.fdopen(open_private(file, os.O_WRONLY | os.O_TRUNC), "w") as target:
            json.dump(known, target)


__all__ = ["best_virt_type", "guests", "refuse_unknown_security_models"]
