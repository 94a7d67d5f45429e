# Sourced by demo.sh and test.sh: installs the system packages and the virtual environment that are missing, and says so.
# With TESTING=yes also what only the tests need, with CORPUS=yes what makes tests/corpus/definitions.xml anew, and with BENCHMARKS=yes the peers
# that benchmarks compare with and that are no Python packages.
say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
  fail "root is needed to install packages: $*" "run as root, or install sudo"; fi; }

# libvirt-python is built from source against libvirt's headers; the rest runs the lab's hosts.
DEBIAN_PACKAGES="python3 python3-dev python3-venv gcc pkg-config libvirt-dev libvirt-daemon-system libvirt-clients
  libvirt-daemon-config-nwfilter iptables qemu-system-x86 qemu-utils ovmf swtpm swtpm-tools openssl iproute2 busybox-static kmod cpio lz4 zstd xz-utils dnsmasq-base"
DEBIAN_TEST_PACKAGES="prometheus prometheus-alertmanager postgresql openssh-server gpg gpgv gpg-agent graphviz mtools tpm2-tools e2fsprogs mount qemu-system-arm qemu-system-misc qemu-system-ppc qemu-efi-aarch64 zsh fish"
FEDORA_PACKAGES="python3 python3-devel gcc pkgconf libvirt-devel libvirt-daemon-driver-qemu libvirt-daemon libvirt-client libvirt-daemon-config-nwfilter iptables
  qemu-system-x86-core qemu-img edk2-ovmf swtpm swtpm-tools openssl iproute busybox kmod cpio lz4 zstd xz dnsmasq"
FEDORA_TEST_PACKAGES="postgresql-server openssh-server gnupg2 graphviz mtools tpm2-tools e2fsprogs qemu-system-aarch64-core qemu-system-arm-core qemu-system-riscv-core qemu-system-ppc-core
  qemu-system-s390x-core edk2-aarch64 virtiofsd zsh fish"
if [ "${TESTING:-no}" = yes ]; then
  DEBIAN_PACKAGES="$DEBIAN_PACKAGES $DEBIAN_TEST_PACKAGES" FEDORA_PACKAGES="$FEDORA_PACKAGES $FEDORA_TEST_PACKAGES"
fi
if [ "${CORPUS:-no}" = yes ]; then
  DEBIAN_PACKAGES="$DEBIAN_PACKAGES virtinst osinfo-db" FEDORA_PACKAGES="$FEDORA_PACKAGES virt-install osinfo-db"
fi
if [ "${BENCHMARKS:-no}" = yes ]; then
  DEBIAN_PACKAGES="$DEBIAN_PACKAGES ganeti-htools"  # Fedora has no such package; the benchmark is skipped there
fi

install_packages() {
  if command -v apt-get >/dev/null; then
    local missing=() package
    for package in $DEBIAN_PACKAGES; do
      dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package"); done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${#missing[@]} packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get update -qq
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  elif command -v dnf >/dev/null; then
    # shellcheck disable=SC2086
    rpm -q $FEDORA_PACKAGES >/dev/null 2>&1 || { say "installing packages"; as_root dnf install -y -q $FEDORA_PACKAGES; }
  else
    fail "this is neither Debian, Ubuntu nor Fedora" "install libvirt, its headers, QEMU, gcc and Python 3.11 or newer"
  fi
}

install_packages
PYTHON=$(command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || command -v python3)
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed" "install python3.11"
export UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT="$PWD/.venv"
UV=$(command -v uv || true)
if [ -z "$UV" ]; then
  UV=$PWD/.tools/bin/uv
  [ -x "$UV" ] || { say "installing uv"; "$PYTHON" -m venv .tools; .tools/bin/pip install -q --disable-pip-version-check 'uv>=0.9'; }
fi
if [ ! -e .venv/.synced ] || [ uv.lock -nt .venv/.synced ]; then
  say "making the virtual environment (.venv)"
  "$UV" sync --quiet --frozen --all-groups --python "$PYTHON"
  touch .venv/.synced
fi
export PATH="$PWD/.venv/bin:$PATH" UV
