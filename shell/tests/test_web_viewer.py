"""`novacron viewer --web`: noVNC's page and the web socket, with a real QEMU behind it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from shutil import which
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from novacron.errors import InvalidStateError, UnsupportedOperationError
from novacron_shell import web_viewer
from novacron_shell.web_viewer import web_page

QEMU = which("qemu-system-x86_64")
GREETING = b"RFB 003.008\n"
PROGRAM = """
import sys
import novacron
from novacron_shell.main import main
vms = novacron.connect("sim://web-viewer").vms
vms.create(name="shown", display={"type": "vnc", "port": int(sys.argv[1])}, start=True)
sys.argv[1:] = ["-c", "sim://web-viewer", "viewer", "shown", "--web"]
main()
"""
"""Creates a simulated VM whose display is at a given port, and types the command."""


@pytest.fixture
def novnc(tmp_path, monkeypatch):
    """A folder in place of noVNC's files, with a secret beside it."""
    folder = tmp_path / "novnc"
    (folder / "core").mkdir(parents=True)
    (folder / "vnc.html").write_text("<title>noVNC</title>")
    (folder / "core" / "rfb.js").write_text("export default 1;")
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setenv("NOVACRON_NOVNC", str(folder))
    return folder


@pytest.fixture
def vnc_port():
    """The port of QEMU's VNC server. The machine is empty."""
    if QEMU is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    argv = [QEMU, "-machine", "none", "-nodefaults", "-S", "-vnc", "127.0.0.1:100,to=2000", "-qmp", "stdio"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        answers = []
        for command in ("qmp_capabilities", "query-vnc"):
            process.stdin.write(json.dumps({"execute": command}) + "\n")
            process.stdin.flush()
            answers.append(json.loads(process.stdout.readline()))
        yield int(answers[1]["return"]["service"])
    finally:
        process.kill()
        process.communicate()


def fetched(address):
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read(), answer.headers["Content-Type"]


def refused(address):
    """Return the status of an error."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        fetched(address)
    caught.value.close()
    return caught.value.code


def socket_of(page):
    """The address of the web socket, as noVNC makes it of the page's address, and the page's origin."""
    parts = urlsplit(page)
    (path,) = parse_qs(parts.query)["path"]
    return f"ws://{parts.netloc}/{path}", f"http://{parts.netloc}"


def opened(page):
    address, origin = socket_of(page)
    return connect(address, origin=origin, proxy=None, open_timeout=30)


def greeted(page):
    """Exchange the greeting of VNC, and return the security types that the server offers."""
    with opened(page) as browser:
        assert browser.recv(timeout=30) == GREETING
        browser.send(GREETING)
        return browser.recv(timeout=30)


def test_a_browser_reaches_the_display_of_qemu(novnc, vnc_port):
    with web_page(f"vnc://127.0.0.1:{vnc_port}") as page:
        assert fetched(page) == (b"<title>noVNC</title>", "text/html")
        assert fetched(page.partition("vnc.html")[0] + "core/rfb.js") == (b"export default 1;", "text/javascript")
        assert greeted(page) == b"\x01\x01", "one type: none, because QEMU has no password"
        assert greeted(page) == b"\x01\x01", "a second browser is served too"
    with pytest.raises(OSError):
        opened(page)


@pytest.mark.parametrize("path", ["vnc.html", "x/vnc.html", "{token}x/vnc.html", "x/websockify", ""])
def test_nothing_is_served_without_the_token(novnc, path):
    with web_page("vnc://127.0.0.1:1") as page:
        parts = urlsplit(page)
        token = parts.path.split("/")[1]
        assert refused(f"http://{parts.netloc}/{path.format(token=token)}") == 403


@pytest.mark.parametrize("path", ["../secret", "%2e%2e/secret", "core", "%2fetc%2fpasswd", "missing.js"])
def test_only_files_of_novnc_are_served(novnc, path):
    with web_page("vnc://127.0.0.1:1") as page:
        assert refused(page.partition("vnc.html")[0] + path) == 404


def test_another_page_in_the_browser_is_refused(novnc):
    with web_page("vnc://127.0.0.1:1") as page, pytest.raises(InvalidStatus) as caught:
        connect(socket_of(page)[0], origin="http://evil.example", proxy=None)
    assert caught.value.response.status_code == 403


def test_a_display_that_went_away_closes_the_web_socket(novnc):
    with web_page("vnc://127.0.0.1:1") as page, opened(page) as browser, pytest.raises(ConnectionClosedError) as caught:
        browser.recv(timeout=30)
    assert (caught.value.rcvd.code, "the display can't be reached" in caught.value.rcvd.reason) == (1011, True)


def test_what_is_missing_is_named(novnc, monkeypatch):
    with pytest.raises(UnsupportedOperationError, match="spice"), web_page("spice://127.0.0.1:5900", title="web1"):
        pass
    monkeypatch.setenv("NOVACRON_NOVNC", str(novnc / "core"))
    monkeypatch.setattr(web_viewer, "FOLDERS", ())
    with pytest.raises(InvalidStateError, match="noVNC") as caught, web_page("vnc://127.0.0.1:5900"):
        pass
    assert "package novnc" in caught.value.hint
    monkeypatch.setitem(sys.modules, "websockets.sync.server", None)
    with pytest.raises(InvalidStateError, match="websockets") as caught, web_page("vnc://127.0.0.1:5900"):
        pass
    assert "novacron-shell[web]" in caught.value.hint


def test_the_command_serves_until_ctrl_c(novnc, vnc_port, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(vnc_port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOVACRON_STATE": str(tmp_path / "state")},
    )
    try:
        page = process.stdout.readline().strip()
        assert page.startswith("http://127.0.0.1:"), process.stderr.read()
        assert greeted(page) == b"\x01\x01"
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Ctrl-C" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not os.environ.get("NOVACRON_SOAK"), reason="starts a browser: in the soak run only")
def test_a_real_browser_shows_the_screen_of_the_guest(vnc_port, tmp_path):
    """noVNC's own page says that it is connected, and its canvas has the size of the display."""
    browser = which("chromium") or which("chromium-browser") or which("google-chrome")
    if browser is None or not any(Path(folder, "vnc.html").exists() for folder in web_viewer.FOLDERS):
        pytest.skip("needs the packages chromium and novnc")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", f"--user-data-dir={tmp_path}"]
    with web_page(f"vnc://127.0.0.1:{vnc_port}") as page:
        shown = subprocess.run([browser, *options, "--dump-dom", page], capture_output=True, text=True, timeout=120).stdout
    assert re.search(r'<html[^>]*class="[^"]*noVNC_connected', shown)
    assert re.search(r'<canvas[^>]*width="(640|720)" height="(400|480)"', shown), re.findall("<canvas[^>]*>", shown)
