"""The guest from inside and its display. The simulator's guests are processes of this machine (a faked boundary)."""

from __future__ import annotations

import ctypes
import time
from ctypes.util import find_library
from pathlib import Path

import pytest

import novacron
from novacron import VMSpec, errors
from novacron_vmware import answers
from novacron_vmware.operations import guest


@pytest.fixture(scope="module")
def host(vcenter):
    options = {"guest_user": "guest", "guest_password": "guest password"}
    with novacron.connect(vcenter.uri(path="/DC0"), name="vc", password=vcenter.password, **options) as host:
        yield host


@pytest.fixture
def vm(host):
    vm = host.vms.create(VMSpec(name="talking", memory="64MiB", start=True))
    yield vm
    vm.delete(force=True)


def left_behind(vcenter) -> list[Path]:
    return list(vcenter.folder.glob("novacron-*"))


def test_a_program_runs_in_the_guest(vcenter, vm):
    """Arguments arrive as they are, whatever is in them; output, errors and status come back; nothing stays in the guest."""
    before = left_behind(vcenter)
    hard = ["a b", "'", '"', "$HOME", "`id`", ";", "\\", "ö", "*", "", "-n"]
    found = vm.guest.exec("/usr/bin/printf", "%s|", *hard)
    assert found.stdout.decode() == "".join(f"{each}|" for each in hard)
    assert vm.guest.exec("/bin/cat", stdin=b"to be read").stdout == b"to be read"
    failed = vm.guest.exec("/bin/sh", "-c", "echo wrong >&2; exit 3")
    assert (failed.exit_status, failed.stdout, failed.stderr) == (3, b"", b"wrong\n")
    assert vm.guest.exec("/no/such/program").exit_status in (126, 127)
    assert left_behind(vcenter) == before


def test_a_program_that_takes_too_long_is_killed(vcenter, vm):
    """And its directory goes."""
    before, began = left_behind(vcenter), time.monotonic()
    with pytest.raises(errors.OperationTimeoutError) as caught:
        vm.guest.exec("/bin/sleep", "60", timeout=1)
    assert caught.value.outcome == "failed"
    assert time.monotonic() - began < 50
    assert left_behind(vcenter) == before


def test_files_go_to_the_guest_and_back(vcenter, vm):
    """Byte by byte; what is not there is said, and so is what may not be."""
    content = bytes(range(256)) * 1000
    vm.guest.write(f"{vcenter.folder}/file", content)
    assert vm.guest.read(f"{vcenter.folder}/file") == content
    with pytest.raises(errors.NotFoundError):
        vm.guest.read(f"{vcenter.folder}/nothing")
    with pytest.raises(errors.GuestAgentError):
        vm.guest.write("/etc/not-allowed", b"x")


def test_a_large_file_is_limited_as_a_file_and_not_as_an_answer(vcenter, vm, monkeypatch):
    """The limit of answers is that of files, so a larger file was an answer without end; a slow link needs more time than an answer."""
    content = bytes(range(256)) * 1000
    vm.guest.write(f"{vcenter.folder}/file", content)
    monkeypatch.setattr(answers, "MOST", len(content) - 1)
    assert vm.guest.read(f"{vcenter.folder}/file") == content
    monkeypatch.setattr(guest, "FILE_MOST", len(content) - 1)
    with pytest.raises(errors.GuestAgentError, match="has more than 255999 bytes"):
        vm.guest.read(f"{vcenter.folder}/file")


def test_a_password_is_set_and_shown_nowhere(vcenter, vm, monkeypatch):
    """The guest's own shadow file has it; no argument, error or file left behind does, and this machine's users keep theirs."""
    machine, secret = Path("/etc/shadow").read_bytes(), "s3cr3t: $HOME '4711"
    vm.guest.set_password("root", secret)
    line = next(each for each in vm.guest.read("/etc/shadow").decode().splitlines() if each.startswith("root:"))
    hashed, crypt = line.split(":")[1], ctypes.CDLL(find_library("crypt")).crypt
    crypt.restype = ctypes.c_char_p
    assert crypt(secret.encode(), hashed.encode()) == hashed.encode()
    assert Path("/etc/shadow").read_bytes() == machine
    with pytest.raises(errors.GuestAgentError, match="nobody-such") as caught:
        vm.guest.set_password("nobody-such", secret)
    assert secret not in f"{caught.value!r} {caught.value.as_dict()} {caught.value.__cause__!r}"
    assert left_behind(vcenter) == []
    for user, password in (("a:b", "x"), ("-x", "x"), ("", "x"), ("root", "a\nroot:b")):
        with pytest.raises(errors.InvalidSpecError) as refused:
            vm.guest.set_password(user, password)
        assert "a\nroot" not in str(refused.value)


def test_exactly_the_given_keys_may_log_in(vm):
    """In the user's own file, which nobody else may read; none are none; of an unknown user nothing is made."""
    keys = ["ssh-ed25519 AAAA me@here", "ssh-ed25519 BBBB 'you'@there"]
    vm.guest.set_ssh_keys("root", keys)
    assert vm.guest.read("/root/.ssh/authorized_keys").decode().splitlines() == keys
    assert vm.guest.exec("stat", "-c", "%a", "/root/.ssh/authorized_keys", "/root/.ssh").stdout == b"600\n700\n"
    vm.guest.set_ssh_keys("root", [])
    assert vm.guest.read("/root/.ssh/authorized_keys") == b""
    with pytest.raises(errors.GuestAgentError, match="nobody-such"):
        vm.guest.set_ssh_keys("nobody-such", keys)


def test_another_user_s_keys_are_written_by_that_user(vcenter, vm):
    """So that no link which it laid is followed with root's rights."""
    made = """echo other:x:4711:4711::/home/other:/bin/false >>/etc/passwd; echo 'other:!:19000::::::' >>/etc/shadow
              mkdir /home/other; chown 4711 /home/other"""
    assert vm.guest.exec("sh", "-c", made).exit_status == 0
    vm.guest.set_ssh_keys("other", ["ssh-ed25519 CCCC"])
    assert vm.guest.exec("stat", "-c", "%u", "/home/other/.ssh/authorized_keys").stdout == b"4711\n"
    link = "rm -r /home/other/.ssh; ln -s /root/.ssh /home/other/.ssh; mkdir -p -m 700 /root/.ssh; echo kept >/root/.ssh/authorized_keys"
    assert vm.guest.exec("sh", "-c", link).exit_status == 0
    with pytest.raises(errors.GuestAgentError):
        vm.guest.set_ssh_keys("other", ["ssh-ed25519 DDDD"])
    assert vm.guest.read("/root/.ssh/authorized_keys") == b"kept\n"


def test_a_wrong_guest_user_is_told(vcenter, vm):
    """By vSphere's own fault."""
    options = {"guest_user": "guest", "guest_password": "wrong"}
    with novacron.connect(vcenter.uri(path="/DC0"), password=vcenter.password, **options) as host:
        with pytest.raises(errors.GuestAgentError) as caught:
            host.vms["talking"].guest.exec("true")
        assert caught.value.details["fault"] == "vim.fault.InvalidGuestLogin"
        assert "wrong" not in str(caught.value)


def test_the_tools_report_needs_no_user(vm):
    """Who the guest is."""
    assert vm.guest.info().vm == vm.id


def test_a_display_is_reached_by_a_ticket(vm):
    """A web socket with TLS; and a picture is a PNG. Neither of a VM that is off."""
    where = vm.display()
    assert (where.kind, where.tls) == ("webmks", True)
    assert where.path.startswith("/ticket/")
    assert vm.screenshot().data.startswith(b"\x89PNG")
    assert not [v for v in vm.host.pools.volumes("LocalDS_0") if "screenshot" in v.name]
    vm.stop()
    for ask in (vm.display, vm.screenshot):
        with pytest.raises(errors.InvalidStateError, match="stopped"):
            ask()
