"""`novacron viewer`: the display of a VM as this machine reaches it."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.errors import UnsupportedOperationError
from novacron.handles.displays import display_url
from novacron.records.guest import ConsoleEndpoint
from novacron_shell.cli import cli

WORLD = "viewer"


@pytest.fixture
def novacron():
    with api.connect(f"sim://{WORLD}") as host:
        host.vms.create(name="shown", display={"type": "spice", "port": 5931}, start=True)
        host.vms.create(name="blind", start=True)

    def run(*arguments, code=0):
        done = CliRunner().invoke(cli, ["-c", f"sim://{WORLD}", *arguments])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_the_viewer_gets_the_url_and_its_exit_code_is_passed_on(novacron, tmp_path, monkeypatch):
    program = tmp_path / "remote-viewer"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/arguments\nexit 3\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    novacron("viewer", "shown", code=3)
    assert (tmp_path / "arguments").read_text().splitlines() == ["--title", "shown", "--", "spice://127.0.0.1:5931"]
    assert novacron("viewer", "shown", "--print").stdout == "spice://127.0.0.1:5931\n"


def test_without_a_viewer_the_url_is_printed(novacron, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = novacron("viewer", "shown")
    assert (done.stdout, "virt-viewer" in done.stderr) == ("spice://127.0.0.1:5931\n", True)


def test_a_vm_without_a_display_says_how_to_get_one(novacron):
    with (
        api.connect(f"sim://{WORLD}") as host,
        pytest.raises(UnsupportedOperationError) as caught,
        display_url(host.vms["blind"]),
    ):
        pass
    assert "display.type=vnc" in caught.value.hint


def vm(uri, **endpoint):
    """A VM of a host at a URI, with the display that its driver reports."""
    host = SimpleNamespace(uri=uri, name="kvm1")
    return SimpleNamespace(name="web1", host=host, display=lambda: ConsoleEndpoint(vm="web1", **{"kind": "vnc", **endpoint}))


@pytest.mark.parametrize(
    ("uri", "endpoint", "url"),
    [
        ("qemu:///system", {"address": "127.0.0.1", "port": 5900}, "vnc://127.0.0.1:5900"),
        ("qemu:///system", {"address": "0.0.0.0", "port": 5900}, "vnc://127.0.0.1:5900"),
        ("qemu+tls://kvm1/system", {"address": "0.0.0.0", "port": 5901}, "vnc://kvm1:5901"),
        ("qemu+tls://kvm1/system", {"address": "192.0.2.7", "port": 5901}, "vnc://192.0.2.7:5901"),
        ("qemu+tls://[2001:db8::1]/system", {"address": "::", "port": 5901}, "vnc://[2001:db8::1]:5901"),
        ("vsphere://vc/DC0", {"kind": "webmks", "address": "esx1", "port": 443, "path": "/ticket/1"}, "wss://esx1:443/ticket/1"),
    ],
)
def test_urls_of_displays(uri, endpoint, url):
    """A display that listens everywhere is reached by the address of its host."""
    with display_url(vm(uri, **endpoint)) as found:
        assert found == url


@pytest.mark.parametrize(
    ("uri", "endpoint", "hint"),
    [
        ("qemu+tls://kvm1/system", {"address": "127.0.0.1", "port": 5900}, "qemu+ssh://root@kvm1/system"),
        ("qemu:///system", {"port": None}, "display.listen"),
    ],
)
def test_displays_that_are_out_of_reach_say_what_to_do(uri, endpoint, hint):
    with pytest.raises(UnsupportedOperationError) as caught, display_url(vm(uri, **endpoint)):
        pass
    assert hint in caught.value.hint


def test_no_thread_is_left(novacron):
    before = threading.active_count()
    novacron("viewer", "shown", "--print")
    assert threading.active_count() <= before
