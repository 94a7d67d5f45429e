"""What a VM needs of its host beside its disks is read from its definition."""

import pytest

from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.host_needs import disk_secrets, host_files
from novacron_kvm.xml.parsing import parse

LUKS = "<encryption format='luks'><secret type='passphrase' uuid='6dcce6b3-37ac-4e7f-b0e6-dc8a6b4a4a43'/></encryption>"


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("<os><kernel>/boot/k</kernel><initrd>/boot/i</initrd></os>", [("kernel", "/boot/k"), ("initial RAM disk", "/boot/i")]),
        ("<os firmware='efi'/>", [("NVRAM", None)]),
        ("<os><loader type='pflash'>/l</loader><nvram>/n/web1.fd</nvram></os>", [("NVRAM", "/n/web1.fd")]),
        ("<os><loader type='pflash'>/l</loader><nvram type='file'><source file='/n/1'/></nvram></os>", [("NVRAM", "/n/1")]),
        ("<os firmware='efi'><loader stateless='yes'/></os>", []),
        ("<os><loader type='rom'>/bios</loader></os>", []),
        ("<devices><tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm></devices>", [("TPM", None)]),
        (
            "<devices><tpm><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm></devices>",
            [("TPM", "/dev/tpm0")],
        ),
        ("<devices><filesystem type='mount'><source dir='/srv'/></filesystem></devices>", [("shared folder", "/srv")]),
        ("<devices><filesystem><source socket='/run/v.sock'/></filesystem></devices>", [("shared folder", "/run/v.sock")]),
        ("<devices/>", []),
    ],
)
def test_files_of_the_host_are_named_with_their_paths(part, found):
    root = parse(f"<domain type='kvm'><name>web1</name>{part}</domain>")
    assert [(file.use, file.path) for file in host_files(root)] == found


def test_each_encrypted_disk_has_the_name_of_its_secret_or_none():
    disks = "".join(
        f"<disk type='file' device='disk'><source file='/p/{target}'>{LUKS if encrypted else ''}</source><target dev='{target}'/></disk>"
        for target, encrypted in (("vda", True), ("vdb", True), ("vdc", False))
    )
    facts = VMFacts().with_secret("/p/vda", "disk-key").markup()
    root = parse(f"<domain type='kvm'><name>web1</name><metadata>{facts}</metadata><devices>{disks}</devices></domain>")
    assert disk_secrets(root) == {"vda": "disk-key", "vdb": None}
