"""UEFI Secure Boot that really refuses what nobody signed, and a TPM whose quotes prove what was booted."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SHIM = ("shim-signed", "usr/lib/shim/shimx64.efi.signed")
GRUB = ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
REGISTERS = "sha256:0,1,2,3,4,5,7"


@pytest.fixture(scope="module")
def loaders(tmp_path_factory):
    """The distribution's signed boot loaders, of packages that are unpacked and not installed."""
    folder = tmp_path_factory.mktemp("packages")
    folder.chmod(0o755)
    for package, _ in (SHIM, GRUB):
        command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", package]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    for file in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, folder], check=True)
    return {"shim": (folder / SHIM[1]).read_bytes(), "grub": (folder / GRUB[1]).read_bytes()}


def tpm_program(folder: Path) -> Path:
    """Put this machine's tpm2-tools into an archive that is unpacked over the guest's files."""
    program = shutil.which("tpm2")
    libraries = [Path("/usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0")]
    for file in (program, libraries[0]):
        done = subprocess.run(["ldd", file], check=True, capture_output=True, text=True)
        libraries += [Path(name) for name in re.findall(r"(/\S+) \(0x", done.stdout)]
    root = folder / "root"
    for file, target in ((Path(program), root / "bin/tpm2"), *((file, root / str(file).lstrip("/")) for file in libraries)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.resolve(), target)
    archive = folder / "tpm.cpio"
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*"))).encode()
    with archive.open("wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=names, stdout=out, cwd=root, check=True)
    return archive


def _padded(archive: bytes) -> bytes:
    """Return an archive that another can follow: the kernel looks for it at a multiple of four bytes."""
    return archive + bytes(-len(archive) % 4)


@pytest.fixture
def signed(lab, lab_hosts, tmp_path, loaders):
    """Return a function that makes a bootable disk of signed parts, some of them changed; it returns the disk's path."""
    made = []

    def make(name, *, shim=lambda data: data, kernel=lambda data: data):
        files = {
            "EFI/BOOT/BOOTX64.EFI": shim(loaders["shim"]),
            "EFI/BOOT/grubx64.efi": loaders["grub"],
            "vmlinuz": kernel(lab.guest.packed_kernel.read_bytes()),
            "initrd": _padded(lab.guest.initrd.read_bytes()) + tpm_program(tmp_path).read_bytes(),
            "EFI/debian/grub.cfg": (
                "serial --unit=0\nterminal_output serial\nset timeout=0\n"
                f"linux /vmlinuz {lab.guest.command_line}\ninitrd /initrd\nboot\n"
            ).encode(),
        }
        disk = lab.shared / f"{name}.img"
        with disk.open("wb") as file:
            file.truncate(128 * 2**20)
        subprocess.run(["mformat", "-i", disk, "-F", "::"], check=True)
        for folder in ("EFI", "EFI/BOOT", "EFI/debian"):
            subprocess.run(["mmd", "-i", disk, f"::{folder}"], check=True)
        for path, data in files.items():
            (tmp_path / "file").write_bytes(data)
            subprocess.run(["mcopy", "-i", disk, tmp_path / "file", f"::{path}"], check=True)
        made.append(disk)
        lab_hosts[0].invoke("pool_refresh", pool="default")
        return str(disk)

    yield make
    for disk in made:
        disk.unlink()
    lab_hosts[0].invoke("pool_refresh", pool="default")


@pytest.fixture
def secure(lab_hosts, boot):
    """Return a function that starts a VM with Secure Boot and a TPM from a disk."""

    def start(name, disk, **fields):
        return boot(
            lab_hosts[0],
            name,
            ticks=0,
            kernel=None,
            firmware="uefi-secure",
            tpm=True,
            memory="512MiB",
            disks=[{"path": disk, "bus": "sata", "format": "raw", "boot_order": 1}],
            **fields,
        )

    return start


def shell(vm, command, check=True):
    done = vm.guest.exec("/bin/sh", "-c", command, timeout=120)
    assert not check or done.exit_status == 0, done
    return done.stdout


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


REFUSED = {
    "a changed shim": ({"shim": lambda data: flipped(data, len(data) // 2)}, r"Access Denied|Security Violation"),
    "a changed kernel": ({"kernel": lambda data: flipped(data, len(data) // 2)}, r"bad shim signature|invalid signature"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_nobody_signed_is_not_booted(signed, secure, what):
    """The firmware refuses it, or the boot loader that the firmware trusts; the guest never comes up."""
    changes, words = REFUSED[what]
    vm = secure(f"refusing-{what.replace(' ', '-')}", signed("unsigned", **changes))
    vm.console.wait_until(lambda: re.search(words, vm.console.text), 120, words)
    time.sleep(2)
    assert "NOVACRON GUEST UP" not in vm.console.text


def test_what_is_signed_boots_and_the_tpm_proves_it(signed, secure, wait_for_agent, tmp_path):
    """A quote over the boot's measurements, fresh by its nonce; another nonce, another message, and another log don't pass."""
    vm = secure("attested", signed("signed"))
    vm.console.wait_for("NOVACRON GUEST UP", 150)
    wait_for_agent(vm)
    shell(vm, "modprobe efivarfs; mount -t efivarfs e /sys/firmware/efi/efivars; mount -t securityfs s /sys/kernel/security")
    assert shell(vm, "tail -c 1 /sys/firmware/efi/efivars/SecureBoot-*") == b"\x01"
    assert "[integrity]" in shell(vm, "cat /sys/kernel/security/lockdown").decode()
    shell(
        vm,
        "export TPM2TOOLS_TCTI=device:/dev/tpmrm0; cd /tmp && tpm2 createek -c ek -G ecc -u ek.pub"
        " && tpm2 createak -C ek -c ak -G ecc -g sha256 -s ecdsa -u ak.pub -f pem",
    )
    nonce = "00112233445566778899aabbccddeeff"
    shell(
        vm,
        f"export TPM2TOOLS_TCTI=device:/dev/tpmrm0; cd /tmp && tpm2 quote -c ak -l {REGISTERS} -q {nonce} -m msg -s sig -o pcrs",
    )
    for name in ("ak.pub", "msg", "sig", "pcrs"):
        (tmp_path / name).write_bytes(vm.guest.read(f"/tmp/{name}"))
    log = tmp_path / "log"
    log.write_bytes(vm.guest.read("/sys/kernel/security/tpm0/binary_bios_measurements"))

    def passes(message="msg", challenge=nonce):
        command = ["tpm2_checkquote", "-u", "ak.pub", "-m", message, "-s", "sig", "-f", "pcrs", "-g", "sha256", "-q", challenge]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0

    assert passes()
    assert not passes(challenge="ff" * 16), "an old quote"
    (tmp_path / "other").write_bytes(flipped((tmp_path / "msg").read_bytes(), 40))
    assert not passes(message="other")
    told = subprocess.run(["tpm2_eventlog", log], capture_output=True, text=True, check=True).stdout
    assert re.search(r'UnicodeName: SecureBoot\n\s*VariableData: "01"', told)
    quoted = dict(
        re.findall(
            r"^\s*(\d+)\s*: 0x([0-9A-Fa-f]{64})",
            shell(vm, f"export TPM2TOOLS_TCTI=device:/dev/tpmrm0; tpm2 pcrread {REGISTERS}").decode(),
            re.MULTILINE,
        )
    )
    replayed = dict(re.findall(r"^\s*(\d+)\s*: 0x([0-9A-Fa-f]{64})", told[told.index("pcrs:") :], re.MULTILINE))
    assert len(quoted) == 7
    assert {number: replayed[number].lower() for number in quoted} == {n: value.lower() for n, value in quoted.items()}
