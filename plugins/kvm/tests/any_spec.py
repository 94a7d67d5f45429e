"""Every VMSpec that the KVM driver can define, for property tests."""

from hypothesis import strategies as st

from novacron.specs import VMSpec
from novacron.specs.volumes import ENCRYPTED
from novacron_kvm.xml.platforms import platform

names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}\Z")
filters = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_.-]{0,20}\Z")  # libvirt itself refuses others, by its schema
portgroups = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z")  # likewise
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=40)
rates = st.integers(1, 2**40)
paths = st.from_regex(r"\A/[A-Za-z0-9_. &<>'\"-]{1,20}\Z")
limits = st.fixed_dictionaries(
    {},
    optional={
        "read_bytes_per_second": rates,
        "write_bytes_per_second": rates,
        "read_iops": st.integers(0, 10**6),
        "write_iops": st.integers(0, 10**6),
    },
)
DISKS = {
    "size": st.integers(2**20, 2**50),
    "source": st.just(None),
    "path": st.just(None),
    "copy_mode": st.sampled_from(["backing", "full"]),
    "pool": st.just("default"),
    "name": st.none() | names,
    "preallocate": st.booleans(),
    "boot_order": st.none(),
    "bus": st.sampled_from([None, "virtio", "scsi", "sata", "ide", "usb"]),
    "target": st.none(),
    "device": st.sampled_from(["disk", "cdrom", "floppy"]),
    "format": st.sampled_from(["qcow2", "raw", "vmdk", "vdi"]),
    "read_only": st.booleans(),
    "shareable": st.booleans(),
    "serial": st.none() | st.from_regex(r"\A[A-Za-z0-9_.+-]{1,36}\Z"),
    "cache": st.sampled_from([None, "default", "none", "writethrough", "writeback", "directsync", "unsafe"]),
    "io": st.sampled_from([None, "native", "threads", "io_uring"]),
    "discard": st.sampled_from([None, "unmap", "ignore"]),
    "iothread": st.sampled_from([None, 1]),
    "queues": st.none() | st.integers(1, 256),
    "limits": st.none() | limits,
    "encryption": st.none(),
    "detect_zeroes": st.sampled_from([None, "off", "on", "unmap"]),
    "wwn": st.none() | st.from_regex(r"\A[0-9a-fA-F]{16}\Z"),
}
"""What a disk can be; an order to boot in is given to several devices at once, a target by `placed`."""
disks = st.fixed_dictionaries(DISKS).map(
    lambda disk: (
        disk
        | {"wwn": disk["wwn"] if disk["bus"] in ("scsi", "ide") else None}
        | ({"encryption": "a-key"} if disk["format"] in ENCRYPTED and disk["device"] == "disk" and disk["queues"] else {})
    )
)
places = st.one_of(
    st.builds(lambda name, group: {"network": name, **({"portgroup": group} if group else {})}, names, st.none() | portgroups),
    st.builds(lambda name: {"bridge": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.builds(lambda name: {"device": name}, st.from_regex(r"\A[a-z0-9]{1,12}\Z")),
    st.just({"user": True}),
)
NICS = {
    "mac": st.none() | st.from_regex(r"\A52:54:00(:[0-9a-fA-F]{2}){3}\Z"),
    "model": st.sampled_from(["virtio", "e1000", "e1000e", "rtl8139", "igb"]),
    "mtu": st.none() | st.integers(68, 65535),
    "queues": st.none() | st.integers(1, 256),
    "link_up": st.booleans(),
    "vlan": st.none() | st.integers(0, 4095),
    "filter": st.none() | filters,
    "isolated": st.booleans(),
    "inbound_bytes_per_second": st.none() | rates,
    "outbound_bytes_per_second": st.none() | rates,
    "boot_order": st.none(),
}
nics = st.builds(lambda place, rest: place | rest, places, st.fixed_dictionaries({}, optional=NICS))
PLACES = {"network", "portgroup", "bridge", "device", "user"}
host_devices = st.one_of(
    st.builds(lambda address: {"pci": address}, st.from_regex(r"\A[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\Z")),
    st.builds(lambda identity: {"usb": identity}, st.from_regex(r"\A[0-9a-f]{4}:[0-9a-f]{4}\Z")),
    st.builds(lambda identity: {"mdev": str(identity)}, st.uuids()),
)
filesystems = st.one_of(
    st.fixed_dictionaries({"source": paths, "tag": portgroups, "type": st.just("9p"), "read_only": st.booleans()}),
    st.fixed_dictionaries({"source": paths, "tag": portgroups, "type": st.just("virtiofs")}),
)
backings = st.fixed_dictionaries(
    {
        "hugepages": st.booleans(),
        "source": st.sampled_from([None, "memfd", "file"]),
        "shared": st.booleans(),
        "locked": st.booleans(),
        "preallocate": st.booleans(),
        "discard": st.booleans(),
        "merge": st.booleans(),
    },
    optional={"page_size": st.none()},
)
channel_names = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,20}\Z")
displays = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["vnc", "spice"]),
        "port": st.none() | st.integers(5900, 65535),
        "listen": st.just("127.0.0.1"),
        "keymap": st.sampled_from([None, "de", "en-us"]),
    }
)
serials = st.builds(
    lambda kind, log, end: {"type": kind, "log": log} | end,
    st.sampled_from(["serial", "virtio"]),
    st.none() | paths,
    st.sampled_from(["tcp", "unix", "file", ""]).flatmap(
        lambda end: st.builds(lambda path: {end: "127.0.0.1:4555" if end == "tcp" else path} if end else {}, paths)
    ),
)
values = texts.filter(str.strip)
base64 = st.from_regex(r"\A[A-Za-z0-9+/]{4,20}==\Z")
launch_securities = st.one_of(
    st.just({"type": "s390-pv"}),
    st.fixed_dictionaries(
        {
            "type": st.just("sev"),
            "policy": st.integers(0, 2**32 - 1),
            "session": st.none() | base64,
            "dh_cert": st.none() | base64,
        }
    ),
)
security_labels = st.one_of(
    st.fixed_dictionaries(
        {"model": st.sampled_from(["dac", "selinux"]), "label": st.just("+1:+1"), "relabel": st.none() | st.booleans()}
    ),
    st.fixed_dictionaries(
        {"model": st.just("apparmor"), "type": st.just("dynamic"), "base_label": st.sampled_from([None, "libvirt-qemu"])}
    ),
)
MACHINES = {
    "x86_64": ["q35", "pc", "pc-q35-7.2", None],
    "i686": ["pc"],
    "aarch64": ["virt"],
    "armv7l": ["virt"],
    "riscv64": ["virt"],
    "ppc64le": ["pseries"],
    "s390x": ["s390-ccw-virtio"],
}


@st.composite
def specs(draw):
    """Any VMSpec that is valid for itself, every field of it given."""
    vcpus, memory = draw(st.integers(1, 64)), draw(st.integers(2**24, 2**42))
    most, all_of_it = draw(st.none() | st.integers(vcpus, 128)), draw(st.none() | st.integers(memory, 2**43))
    firmware, arch = draw(st.sampled_from(["bios", "uefi", "uefi-secure"])), draw(st.sampled_from([*MACHINES]))
    given_disks, given_nics, given_host = draw(st.lists(disks, max_size=5)), draw(st.lists(nics, max_size=3)), []
    for device in draw(st.lists(host_devices, max_size=2, unique_by=str)):
        given_host.append(device)
    if draw(st.booleans()):
        for order, device in enumerate([*given_disks, *given_nics, *(d for d in given_host if "mdev" not in d)], 1):
            device["boot_order"] = order
    if draw(st.booleans()):
        for number, disk in enumerate(given_disks):
            disk["target"], disk["bus"] = f"sd{'abcdef'[number]}", draw(st.sampled_from([None, "scsi", "sata", "usb"]))
            disk["wwn"] = disk["wwn"] if disk["bus"] == "scsi" else None
    numa = []
    if draw(st.booleans()):
        half, count = (all_of_it or memory) // 2, most or vcpus
        numa = [{"vcpus": f"0-{count - 1}", "memory": (all_of_it or memory)}]
        if count > 1:
            numa = [{"vcpus": "0", "memory": half}, {"vcpus": f"1-{count - 1}", "memory": (all_of_it or memory) - half}]
        numa[0]["host_nodes"] = draw(st.sampled_from([None, "0", "0-1,3"]))
    model = draw(st.sampled_from([None, "qemu64", "Nehalem", "EPYC-Rome"]))
    found = {
        "name": draw(names),
        "id": draw(st.none() | st.uuids()),
        "vcpus": vcpus,
        "vcpus_max": most,
        "memory": memory,
        "memory_max": all_of_it,
        "max_memory": draw(st.none() | st.integers(all_of_it or memory, 2**44)),
        "arch": arch,
        "machine": draw(st.sampled_from(MACHINES[arch])),
        "virt_type": draw(st.sampled_from(["kvm", "qemu"])),
        "cpu_model": model,
        "cpu_features": {
            draw(st.sampled_from(["", "-"])) + feature
            for feature in draw(st.sets(st.sampled_from(["avx2", "aes", "svm"]), max_size=3))
        },
        "cpu_mode": "default" if model else draw(st.sampled_from(["default", "host-model", "host-passthrough", "maximum"])),
        "topology": draw(st.none() | st.just({"sockets": most or vcpus})),
        "numa": numa,
        "memory_backing": draw(backings),
        "iothreads": draw(st.integers(1, 4)),
        "clock": draw(st.sampled_from(["utc", "localtime", "Europe/Berlin", "Etc/GMT+5"])),
        "features": {
            "hyperv": draw(st.booleans()),
            "hide_hypervisor": draw(st.booleans()),
            "pmu": draw(st.none() | st.booleans()),
            "iommu": draw(st.sampled_from([None, "intel", "virtio", "smmuv3"])),
        },
        "launch_security": draw(st.none() | launch_securities),
        "vsock": draw(st.booleans()),
        "firmware": firmware,
        "watchdog": draw(st.sampled_from([None, "reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"])),
        "tpm": draw(st.booleans()),
        "kernel": None,
        "iso": draw(st.none() | paths),
        "disks": given_disks,
        "nics": _without_same_mac(given_nics),
        "serial": draw(serials),
        "boot_menu": draw(st.sampled_from([None, 0, "3s", 65])),
        "confined": draw(st.booleans()),
        "system_info": draw(st.dictionaries(st.sampled_from(["manufacturer", "serial", "family"]), values, max_size=3)),
        "cpuset": draw(st.sampled_from([None, "0", "0-3,8"])),
        "panic": draw(st.sampled_from([None, "isa", "hyperv", "pseries", "s390"])),
        "usb_controller": draw(st.sampled_from([None, "piix3-uhci", "ehci", "nec-xhci", "qemu-xhci"])),
        "virtio_serial_ports": draw(st.sampled_from([None, 1, 31])),
        "channels": [{"name": name, "path": draw(st.none() | paths)} for name in draw(st.sets(channel_names, max_size=3))],
        "display": draw(st.none() | displays),
        "sound": draw(st.sampled_from([None, "ich6", "ich9", "ac97", "usb"])),
        "video": draw(st.sampled_from([None, "vga", "virtio", "qxl", "cirrus", "bochs", "ramfb", "none"])),
        "host_devices": given_host,
        "filesystems": draw(st.lists(filesystems, max_size=2, unique_by=lambda f: f["tag"])),
        "balloon": draw(st.booleans()),
        "guest_agent": draw(st.booleans()),
        "rng": draw(st.booleans()),
        "cloud_init": draw(st.none() | st.just({"hostname": "h"})),
        "tags": draw(st.frozensets(names, max_size=4)),
        "metadata": draw(st.dictionaries(names, values, max_size=4)),
        "description": draw(texts),
        "autostart": draw(st.booleans()),
        "start": draw(st.booleans()),
        "node": None,
        "native": {},
    }
    confined = found["confined"]
    found["security_labels"] = draw(st.lists(security_labels, max_size=3, unique_by=lambda s: s["model"])) if confined else []
    queued = any(disk["queues"] or disk["iothread"] for disk in given_disks)
    found["scsi_controller"] = draw(st.sampled_from([None, "virtio-scsi", *(() if queued else ("lsilogic", "lsisas1068"))]))
    pcie = platform(arch, found["machine"]).pcie
    found["pcie_ports"] = draw(st.sampled_from([None, 1, 30])) if pcie else None
    if firmware != "uefi-secure" and draw(st.booleans()):
        found["kernel"] = {"path": draw(paths), "initrd": draw(st.none() | paths), "command_line": draw(texts)}
    assert found.keys() == VMSpec.model_fields.keys(), "each field is exercised"
    return VMSpec(**found)


def _without_same_mac(given_nics):
    seen, kept = set(), []
    for nic in given_nics:
        mac = (nic.get("mac") or "").lower()
        if not mac or mac not in seen:
            kept.append(nic)
        seen.add(mac)
    return kept
