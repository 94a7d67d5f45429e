"""The tiny guest: the distribution's own cloud kernel, busybox and guest agent, which count seconds on the serial console.

What it says there, a line each: `NOVACRON GUEST UP`; every second `NOVACRON TICK n uptime=...`; whenever one changes `NOVACRON DEVICES`
with each disk's 512-byte sectors and each NIC's carrier; `NOVACRON ADDRESS` once DHCP gave one; with `novacron.ping=ADDRESS` on the
kernel's command line every second whether that address answered. With `novacron.load=MIB` it dirties so much memory without end, and says
`NOVACRON LOADED` after the first pass. With `novacron.fill=MIB` it fills so much memory once with other bytes than zero, says the same,
and its processor is idle afterwards. With `novacron.epochs` each start of the guest is an epoch: it writes epoch and counter to its
first disk without end, past all caches, says `NOVACRON EPOCH e n`, and `NOVACRON TWICE` if it reads what another copy of it wrote.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from novacron_lab import kernel_image
from novacron_lab.running import LabError, run

MODULES = (
    "virtio_pci",
    "af_packet",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_rng",
    "virtio_balloon",
    "button",
    "evdev",
    "cdrom",
    "sr_mod",
    "ahci",
)
AT_HAND = ("virtiofs", "virtio_scsi", "sd_mod", "efivarfs")
"""Modules that the guest has and does not load by itself."""
UP = "NOVACRON GUEST UP"
TICK = "NOVACRON TICK"

INIT = f"""#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
modprobe -a {" ".join(MODULES)} 2>/dev/null
echo 1 > /proc/sys/kernel/printk
acpid -f -c /etc/acpi -l /dev/null &
load=$(sed -n 's/.*novacron.load=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
if [ -n "$load" ]; then
  mount -t tmpfs -o size=${{load}}m tmpfs /load
  (while :; do
    dd if=/dev/urandom of=/load/dirty bs=1M count=$((load - 2)) conv=notrunc 2>/dev/null
    [ -n "$full" ] || echo "NOVACRON LOADED $load MiB"; full=1
  done) &
fi
fill=$(sed -n 's/.*novacron.fill=\\([0-9]*\\).*/\\1/p' /proc/cmdline)
if [ -n "$fill" ]; then
  mount -t tmpfs -o size=${{fill}}m tmpfs /load
  dd if=/dev/urandom of=/run/block bs=1M count=1 2>/dev/null
  (n=1; while [ $n -lt $fill ]; do cat /run/block; n=$((n + 1)); done >/load/filled; echo "NOVACRON LOADED $fill MiB") &
fi
if [ -b /dev/vda ]; then
  echo "NOVACRON DISK TICK $(dd if=/dev/vda bs=512 skip=2048 count=1 2>/dev/null | tr -dc 0-9)"
fi
hostname novacron-guest
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name 2>/dev/null)" = org.qemu.guest_agent.0 ] || continue
  qemu-ga -m virtio-serial -p /dev/$(basename $port) -t /run -f /run/qemu-ga.pid </dev/null >/dev/null 2>&1 &
done
echo "{UP}"
if [ -d /sys/class/net/eth0 ]; then
  ip link set lo up; ip link set eth0 up
  (udhcpc -i eth0 -t 5 -T 1 -A 1 -q -s /etc/udhcpc >/dev/null 2>&1 && \\
    echo "NOVACRON ADDRESS $(ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/')") &
fi
devices() {{
  now=
  for disk in /sys/block/[hsv]d* /sys/block/sr*; do
    [ -e $disk ] && read -r size <$disk/size && now="$now ${{disk##*/}}=$size"
  done
  for nic in /sys/class/net/eth*; do
    [ -e $nic ] && read -r address <$nic/address || continue
    carrier=; read -r carrier <$nic/carrier
    now="$now $address=${{carrier:-down}}"
  done
}}
if grep -q novacron.epochs /proc/cmdline; then
  (sector() {{ dd if=/dev/vda bs=512 skip=4096 count=1 iflag=direct 2>/dev/null | tr -dc 'a-z0-9 '; }}
  set -- $(sector); epoch=$((${{2:-0}} + 1)); counter=0
  while :; do
    wrote=
    printf '%-512s' "epoch $epoch $counter" | dd of=/dev/vda bs=512 seek=4096 count=1 conv=notrunc oflag=direct 2>/dev/null && wrote=1 && \\
      echo "NOVACRON EPOCH $epoch $counter"
    sleep 0.2
    set -- $(sector)
    [ -z "$wrote" ] || [ -z "$2" ] || [ "$2 $3" = "$epoch $counter" ] || echo "NOVACRON TWICE wrote $epoch $counter, read $2 $3"
    counter=$((counter + 1))
  done) &
fi
ping_to=$(sed -n 's/.*novacron.ping=\\([0-9.]*\\).*/\\1/p' /proc/cmdline)
if [ -n "$ping_to" ]; then
  (while :; do
    if ping -c 1 -W 1 $ping_to >/dev/null 2>&1; then echo "NOVACRON PING $ping_to answered"; else echo "NOVACRON PING $ping_to lost"; fi
    sleep 1
  done) &
fi
tick=0
while :; do
  devices 2>/dev/null
  [ "$now" = "$before" ] || echo "NOVACRON DEVICES$now"
  before="$now"
  tick=$((tick + 1))
  read -r uptime idle </proc/uptime
  echo "{TICK} $tick uptime=$uptime"
  if [ -b /dev/vda ]; then
    printf '%-512s' $tick | dd of=/dev/vda bs=512 seek=2048 count=1 conv=notrunc oflag=direct 2>/dev/null
  fi
  sleep 1
done
"""
CHPASSWD = """#!/bin/sh
# busybox has none; the guest agent gives "user:password"
IFS=: read -r user password
grep -q "^$user:" /etc/shadow || { echo "no user $user" >&2; exit 1; }
hash=$(printf %s "$password" | sha512sum | cut -d' ' -f1)
sed -i "s/^$user:[^:]*:/$user:$hash:/" /etc/shadow
"""
DHCP = """#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface; ip addr add $ip/${mask:-24} dev $interface
[ -z "$router" ] || ip route replace default via ${router%% *} dev $interface
"""


class Guest:
    """The guest's files in a folder.

    Attributes:
        kernel: the kernel, unpacked. QEMU starts it directly.
        packed_kernel: the same kernel as a compressed image, which firmware and boot loaders start.
        initrd: the first file system.
        disk: an empty image of 64 MiB to make disks from.
    """

    command_line = (
        "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check rcupdate.rcu_expedited=1 cryptomgr.notests audit=0"
        " noreplace-smp init_on_alloc=0"
    )
    """The kernel's parameters. All after `panic` save time where the processor is emulated: a third of a boot."""

    def __init__(self, folder: Path) -> None:
        self.kernel = folder / "guest-kernel"
        self.packed_kernel = folder / "guest-kernel.packed"
        self.initrd = folder / "guest-initrd"
        self.disk = folder / "guest-disk.qcow2"

    def install(self) -> None:
        """Put the files there, building them first when the cache has none (about ten seconds, once).

        Raises:
            LabError: the kernel can't be downloaded.
        """
        cache = _cache()
        if not (cache / "initrd").exists():
            _build(cache)
        for name, file in (("kernel", self.kernel), ("packed-kernel", self.packed_kernel), ("initrd", self.initrd)):
            shutil.copy(cache / name, file)
        run("qemu-img", "create", "-q", "-f", "qcow2", self.disk, "64M")


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    sources = Path(__file__).read_text() + Path(kernel_image.__file__).read_text()
    version = f"{abs(hash_text(sources)):x}"
    return base / "novacron" / f"guest-{version}"


def hash_text(text: str) -> int:
    """Return a number that is the same for the same text in every process."""
    import zlib

    return zlib.crc32(text.encode())


def _build(cache: Path) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as scratch:
        work = Path(scratch)
        unpacked = _kernel_package(work)
        agent = _agent_package(work)
        kernel = next((unpacked / "boot").glob("vmlinuz-*"))
        version = kernel.name.removeprefix("vmlinuz-")
        root = _root(work / "root", unpacked, version)
        _add_program(root, agent)
        names = "\n".join(str(p.relative_to(root)) for p in [root, *sorted(root.rglob("*"))]).encode()
        (work / "names").write_bytes(names)
        # not compressed: an emulated processor takes longer to unpack it than QEMU to load it
        run("sh", "-c", 'cpio --quiet -o -H newc <"$1" >"$2"', "sh", work / "names", work / "initrd", cwd=root)
        made = Path(tempfile.mkdtemp(dir=cache.parent))
        kernel_image.unpack(kernel, made / "kernel")
        shutil.move(kernel, made / "packed-kernel")
        shutil.move(work / "initrd", made / "initrd")
        try:
            made.rename(cache)
        except OSError:
            shutil.rmtree(made)  # another process was quicker
    if not (cache / "initrd").exists():
        raise LabError(f"the guest could not be built in {cache}")


def _kernel_package(work: Path) -> Path:
    """Download and unpack the distribution's cloud kernel; nothing is installed."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64", check=False).stdout
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if not found:
        raise LabError(
            "the package lists name no cloud kernel", hint="run apt-get update; the lab's guest needs Debian or Ubuntu"
        )
    os.chmod(work, 0o755)  # noqa: S103 - apt's own user writes here
    run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", found.group(1), cwd=work)
    unpacked = work / "kernel"
    run("dpkg-deb", "-x", next(work.glob("linux-image-*.deb")), unpacked)
    return unpacked


def _agent_package(work: Path) -> Path:
    """Download and unpack the distribution's QEMU guest agent; return its program."""
    run("apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "qemu-guest-agent", cwd=work)
    unpacked = work / "agent"
    run("dpkg-deb", "-x", next(work.glob("qemu-guest-agent_*.deb")), unpacked)
    return next(p for p in unpacked.rglob("qemu-ga") if p.is_file() and os.access(p, os.X_OK))


def _add_program(root: Path, program: Path) -> None:
    """Put a program of this distribution into the guest with the libraries that it is linked to."""
    shutil.copy(program, root / "bin" / program.name)
    linked = run("ldd", program).stdout
    if "not found" in linked:
        raise LabError(f"{program.name} needs libraries that are not installed here", hint=linked)
    for library in re.findall(r"(/\S+) \(0x", linked):
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), target)


def _root(root: Path, unpacked: Path, version: str) -> Path:
    for folder in ("bin", "proc", "sys", "dev", "load", "run", "tmp", "root", "etc/acpi/PWRF"):
        (root / folder).mkdir(parents=True)
    busybox = shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
    for file, text in {
        "init": INIT,
        "etc/udhcpc": DHCP,
        "bin/chpasswd": CHPASSWD,
        "etc/os-release": 'ID=novacron\nNAME="NovaCron guest"\nPRETTY_NAME="NovaCron guest"\nVERSION_ID=1\n',
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/shadow": "root:*:19000:0:99999:7:::\n",
        "etc/group": "root:x:0:\n",
        "etc/acpi/PWRF/00000080": "#!/bin/sh\necho NOVACRON POWER BUTTON >/dev/console\nsync\npoweroff -f\n",
    }.items():
        (root / file).write_text(text)
        (root / file).chmod(0o755)
    for command in run(busybox, "--list").stdout.split():
        if not (root / "bin" / command).exists():
            (root / "bin" / command).symlink_to("busybox")
    source, target = unpacked / "lib/modules" / version, root / "lib/modules" / version
    run("depmod", "-b", unpacked, version)
    depends = dict(line.split(":", 1) for line in (source / "modules.dep").read_text().splitlines() if ":" in line)
    for module in (*MODULES, *AT_HAND):
        path = next((p for p in depends if Path(p).name.split(".")[0].replace("-", "_") == module), None)
        for needed in [path, *depends[path].split()] if path else []:
            (target / needed).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / needed, target / needed)
    target.mkdir(parents=True, exist_ok=True)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        if (source / name).exists():
            shutil.copy(source / name, target / name)
    run("depmod", "-b", root, version)
    return root


__all__ = ["TICK", "UP", "Guest"]
