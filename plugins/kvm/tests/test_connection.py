"""Connecting: the URIs that the driver serves, and what is said when the other side can't be reached or refuses."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import libvirt
import pytest

import novacron
from novacron import errors
from novacron.plugins import HostURI
from novacron.plugins.driver import ConnectContext
from novacron_kvm.connection import KVMConnection
from novacron_kvm.plugin import SCHEMES, connect, provider

NEVER_BY_ITSELF = 30
"""Seconds, far more than any time limit here: what says nothing would hold on for longer."""


@pytest.fixture
def listening():
    """A socket on the loopback that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """A port that is taken, so that no other server gets it, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def refused(uri, **options):
    with pytest.raises(errors.NovaCronError) as caught:
        novacron.connect(uri, **options)
    assert caught.value.outcome == "not_sent"
    assert caught.value.operation == "connect"
    return caught.value


def test_every_scheme_has_its_entry_point():
    from importlib.metadata import entry_points

    served = {e.name for e in entry_points(group="novacron.drivers") if e.dist and e.dist.name == "novacron-kvm"}
    assert served == set(SCHEMES) == set(provider.schemes)


@pytest.mark.parametrize("uri", ["test:///default", f"test://{Path(__file__).parent / 'node.xml'}"])
def test_the_test_driver_is_connected_to_with_every_form_of_its_uri(uri):
    with novacron.connect(uri) as host:
        assert host.ping().version
        assert host.info().uri == uri
        assert [n.name for n in host.nodes()] == [host.info().hostname]


def test_the_uri_reaches_libvirt_as_it_was_given():
    driver = connect(HostURI.parse("test:///default?no_tty=1"), ConnectContext("x", 5.0, {}))
    try:
        assert driver.native.uri == "test:///default?no_tty=1"
    finally:
        driver.close()


def test_a_refused_port_is_named(closed_port):
    error = refused(f"qemu+tcp://127.0.0.1:{closed_port}/system")
    assert isinstance(error, errors.HostConnectionError)
    assert str(closed_port) in str(error)
    assert error.hint


def test_an_unknown_host_is_named():
    error = refused("qemu+tcp://no-such-host.invalid/system", timeout=60)
    assert isinstance(error, errors.HostConnectionError | errors.OperationTimeoutError)
    assert "no-such-host.invalid" in str(error)


@pytest.mark.parametrize("scheme", ["qemu+tcp", "qemu+tls"])
def test_a_silent_host_ends_within_the_timeout(listening, scheme):
    """With TLS the certificates may be missed first; never does it block."""
    began = time.monotonic()
    error = refused(f"{scheme}://127.0.0.1:{listening}/system", timeout=1)
    assert time.monotonic() - began < NEVER_BY_ITSELF
    assert isinstance(error, errors.OperationTimeoutError if scheme == "qemu+tcp" else errors.NovaCronError)
    assert error.hint


def test_missing_certificates_are_a_question_of_authentication(listening, tmp_path):
    error = refused(f"qemu+tls://127.0.0.1:{listening}/system?pkipath={tmp_path}", timeout=60)
    assert isinstance(error, errors.AuthenticationError)
    assert "certificate" in str(error)
    assert "certificates" in error.hint


def test_a_missing_socket_is_named(tmp_path):
    error = refused(f"qemu+unix:///system?socket={tmp_path}/none")
    assert isinstance(error, errors.HostConnectionError)
    assert f"{tmp_path}/none" in str(error)


def test_an_ssh_that_fails_says_what_ssh_said(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_URI_PROGRAMS", "1")
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
    program.chmod(0o755)
    error = refused(f"qemu+ssh://root@somewhere/system?command={program}", timeout=60)
    assert isinstance(error, errors.AuthenticationError)
    assert "Host key verification failed" in str(error)
    assert "SSH keys" in error.hint


def test_an_ssh_that_ends_before_libvirt_writes_to_it_is_asked_again_why(monkeypatch):
    """libvirt then says "Broken pipe" in place of what ssh said."""
    said = iter(
        ["Cannot write data: Broken pipe", "Cannot write data: Broken pipe", "Cannot recv data: Permission denied (publickey)."]
    )

    def open_auth(uri, auth, flags):
        raise libvirt_error(next(said))

    monkeypatch.setattr(libvirt, "openAuth", open_auth)
    error = refused("qemu+ssh://root@somewhere/system")
    assert isinstance(error, errors.AuthenticationError)
    assert "publickey" in str(error)


def libvirt_error(text):
    error = libvirt.libvirtError(text)
    error.err = (libvirt.VIR_ERR_SYSTEM_ERROR, 0, text, 0, text, None, None, 0, 0)
    return error


def test_a_silent_ssh_ends_within_the_timeout(tmp_path, monkeypatch):
    monkeypatch.setenv("NOVACRON_URI_PROGRAMS", "1")
    program, pid = tmp_path / "ssh", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ >{pid}\nexec sleep 60\n")
    program.chmod(0o755)
    began = time.monotonic()
    assert isinstance(refused(f"qemu+ssh://root@somewhere/system?command={program}", timeout=1), errors.OperationTimeoutError)
    assert time.monotonic() - began < NEVER_BY_ITSELF
    while not (pid.exists() and pid.read_text().endswith("\n")):  # it may not have begun within the second
        time.sleep(0.02)
    os.kill(int(pid.read_text()), 9)


@pytest.mark.parametrize("uri", ["qemu", "", "qemu:system", "qemu+tcp://root:secret@h/system", "qemu+tcp://h:port/system"])
def test_what_is_no_uri_is_refused_and_no_password_is_shown(uri):
    with pytest.raises(errors.InvalidSpecError) as caught:
        novacron.connect(uri)
    assert "secret" not in str(caught.value)


def test_a_closed_connection_says_so_and_is_not_opened_again():
    host = novacron.connect("test:///default")
    host.close()
    with pytest.raises(errors.HostConnectionError) as caught:
        host.ping()
    assert caught.value.outcome == "not_sent"


def test_closing_leaves_no_open_connection_even_with_a_subscription():
    """libvirt keeps a connection open as long as anything is registered with it."""
    host = novacron.connect("test:///default")
    native = host.dispatcher.driver.native.read
    host.subscribe(print)
    host.close()
    with pytest.raises(libvirt.libvirtError, match="invalid connection"):
        native.isAlive()


@pytest.mark.parametrize("given", ["test", "6695eb01-f6a4-8304-79aa-97f2502e193f", "6695EB01-F6A4-8304-79AA-97F2502E193F"])
def test_a_vm_is_found_by_name_and_by_uuid_in_any_case(given):
    with novacron.connect("test:///default") as host:
        assert host.vms[given].name == "test"


@pytest.mark.parametrize("given", ["", "nobody", "6695eb01-f6a4-8304-79aa-97f2502e1999", "x" * 36])
def test_an_unknown_vm_is_not_found_whatever_its_form(given):
    connection = KVMConnection("test:///default", "t")
    try:
        with pytest.raises(errors.VMNotFoundError):
            connection.domain(given)
    finally:
        connection.close()


def test_connecting_is_quick():
    """libvirt is loaded at the first connect, not before."""
    code = "import sys, novacron, novacron_kvm.plugin; print([m for m in ('libvirt', 'lxml') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_libvirts_libraries_are_loaded_before_its_module_is_imported():
    """The import would stop all threads until they are loaded, also the one of somebody who types."""
    code = (
        "import sys, novacron\n"
        "from novacron_kvm import plugin\n"
        "real, seen = plugin.load_libraries, []\n"
        "def load():\n"
        "    real()\n"
        "    seen.append(('libvirt.so' in open('/proc/self/maps').read(), 'libvirtmod' in sys.modules))\n"
        "plugin.load_libraries = load\n"
        "novacron.connect('test:///default').close()\n"
        "print(seen)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[(True, False)]\n"


@pytest.mark.parametrize(
    "parameter",
    [
        "command=/tmp/evil",
        "netcat=/tmp/evil",
        "COMMAND=/tmp/evil",
        "keyfile=/k&Command=/tmp/evil",
        "no_tty=1;command=/tmp/evil",
        "no_tty=1&no_sanity=1;%43ommand=/tmp/evil",
    ],
)
def test_a_program_in_a_uri_is_not_run_without_the_machines_consent(tmp_path, monkeypatch, parameter):
    """A stored URI may come from whoever can write the state database."""
    evil, mark = tmp_path / "evil", tmp_path / "ran"
    evil.write_text(f"#!/bin/sh\ntouch {mark}\n")
    evil.chmod(0o755)
    uri = "qemu+ssh://nobody@127.0.0.1/system?" + parameter.replace("/tmp/evil", str(evil))
    monkeypatch.delenv("NOVACRON_URI_PROGRAMS", raising=False)
    error = refused(uri, timeout=10)
    assert isinstance(error, errors.InvalidSpecError)
    assert "NOVACRON_URI_PROGRAMS" in error.hint
    assert not mark.exists()
    monkeypatch.setenv("NOVACRON_URI_PROGRAMS", "1")
    with pytest.raises(errors.NovaCronError):
        novacron.connect(uri, timeout=10)
    assert mark.exists() == ("netcat" not in parameter)  # netcat would run on the host


@pytest.mark.parametrize("query", ["readonly=1", "no_verfy=1", "rooot=/x", "no_tty=1&sokcet=/x"])
@pytest.mark.parametrize("place", ["test:///default", "qemu:///system", "qemu+tls://192.0.2.1/system"])
def test_a_parameter_that_libvirt_would_ignore_is_refused_by_name(place, query):
    error = refused(f"{place}?{query}")
    assert isinstance(error, errors.InvalidSpecError)
    (problem,) = error.problems
    assert problem.path.removeprefix("uri.") in query
    assert "socket" in problem.allowed
    assert error.outcome == "not_sent"


def test_a_file_of_credentials_may_be_named(tmp_path):
    node, file = tmp_path / "node.xml", tmp_path / "auth.conf"
    node.write_text("<node><auth><user password='of-a-test'>me</user></auth></node>")
    file.write_text(
        "[credentials-a]\nusername=me\npassword=of-a-test\n[auth-libvirt-localhost]\ncredentials=a\n[auth-test-localhost]\ncredentials=a\n"
    )
    assert isinstance(refused(f"test://{node}"), errors.NovaCronError)
    with novacron.connect(f"test://{node}?authfile={file}") as host:
        assert list(host.vms) == []


def test_the_identity_of_a_host_is_read_once_until_a_connection_is_lost(monkeypatch):
    read, real = [], libvirt.virConnect.getCapabilities
    monkeypatch.setattr(libvirt.virConnect, "getCapabilities", lambda conn: read.append(conn) or real(conn))
    with novacron.connect("test:///default") as host:
        connection = host.dispatcher.driver.native
        read.clear()
        assert connection.identity == connection.identity
        assert len(read) == 1
        connection._pool.lost += 1
        assert connection.identity == connection.identity
        assert len(read) == 2


@pytest.mark.parametrize("content", ["root:hunter2:20000\nsecond\n", "<node><a>hunter2</a", "<node>\n  <b c=hunter2/>\n</node>"])
def test_an_error_about_a_file_does_not_quote_it(tmp_path, content):
    """`test:///etc/shadow` would show the file's first line to whoever may name a host."""
    file = tmp_path / "file"
    file.write_text(content)
    with pytest.raises(errors.NovaCronError) as caught:
        novacron.connect(f"test://{file}")
    assert "hunter2" not in str(caught.value)
    assert str(file) in str(caught.value)
