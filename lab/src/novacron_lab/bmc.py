"""The management controllers (BMCs) of a lab's hosts: one Redfish server, with a system for each host.

It listens on the lab's switch, so it answers while a host's own cable is cut. `ForceOff` kills all processes of the host, `On` starts its
libvirtd again. Run as a program it serves one lab until it is killed: python -m novacron_lab.bmc LAB

Only root can read the password, as it can read the certificate with which every host of the lab is managed.
"""

from __future__ import annotations

import os
import secrets
import ssl
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from novacron.secrets import environment_without_secrets
from novacron_lab import network
from novacron_lab.certificates import make_certificate
from novacron_lab.network import Way
from novacron_lab.running import LabError, ProcessIdentity

if TYPE_CHECKING:
    from novacron_lab.lab import Lab

PORT = 8443
USER = "admin"
START_TIMEOUT = 30.0
Lie = Literal["ignores", "timeout", "slow"]
"""False answers of a management controller."""
POWERING_OFF, SILENT = 3.0, 30.0
"""Seconds for which a slow one reports PoweringOff, and for which one does not answer."""


class BMC(msgspec.Struct, frozen=True):
    """The Redfish server of a lab.

    Attributes:
        url: its address.
        folder: its files: the certificate of the authority, the password, its log.
        namespace: the network namespace in which it runs.
    """

    url: str
    folder: str
    namespace: str

    @property
    def password(self) -> str:
        """The password of the user "admin"."""
        return (Path(self.folder) / "password").read_text()

    @property
    def ca_file(self) -> str:
        """The certificate of the lab's authority."""
        return str(Path(self.folder) / "pki" / "ca-cert.pem")

    def cut(self, way: Way) -> None:
        """Lose the packets between the server and its clients."""
        network.cut_service(self.namespace, PORT, way)

    def mend(self) -> None:
        """End what `cut` did, and let it tell the truth about all hosts."""
        network.mend_service(self.namespace, PORT)
        for file in Path(self.folder).glob("lie-*"):
            file.unlink(missing_ok=True)

    def lie(self, host: str, lie: Lie) -> None:
        """Let it give false answers to `ForceOff` for a host.

        Args:
            host: the host's name.
            lie: "ignores": it answers 204 and does nothing. "timeout": it switches off and never answers. "slow": it answers at once,
                reports PoweringOff for a while, and switches off then.
        """
        (Path(self.folder) / f"lie-{system_of(host)}").write_text(lie)

    def options(self, host: str, secret: str) -> dict[str, str]:
        """Return the options of the fence agent `redfish` for a host; `secret` is the name of the secret with the password."""
        return {
            "url": self.url,
            "username": USER,
            "password_secret": secret,
            "system": system_of(host),
            "ca_file": self.ca_file,
        }


def system_of(host: str) -> str:
    """Return the identity of a host in Redfish.

    Example:
        >>> system_of("lab-a") == system_of("lab-a") != system_of("lab-b")
        True
    """
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{host}.novacron-lab"))


def start(lab: Lab) -> BMC:
    """Start the Redfish server of a lab, if it does not run, and wait until it answers. Raises LabError."""
    try:
        import sushy_tools  # noqa: F401
    except ImportError:
        raise LabError(
            "fencing in the lab needs sushy-tools", hint="pip install 'novacron-lab[fencing]' 'novacron[fencing]'"
        ) from None
    folder, address = lab.folder / "bmc", f"10.231.{lab.subnet}.2"
    found = BMC(f"https://{address}:{PORT}", str(folder), lab.switch)
    if not folder.exists():
        _prepare(lab, folder, address)
    server = _running(folder) or _begin(lab, folder)
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(found):
        if not server.alive or time.monotonic() > deadline:
            raise LabError(f"the Redfish server did not start: {(folder / 'log').read_text()[-1500:].strip()}")
        time.sleep(0.05)
    return found


def _running(folder: Path) -> ProcessIdentity | None:
    """Return the server that was started before and still runs. It may be too busy to answer at once."""
    try:
        server = ProcessIdentity.parse((folder / "pid").read_text())
    except (OSError, ValueError):
        return None
    return server if server.alive else None


def _begin(lab: Lab, folder: Path) -> ProcessIdentity:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["ip", "netns", "exec", lab.switch, sys.executable, "-m", "novacron_lab.bmc", lab.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment_without_secrets(),
        )
    server = ProcessIdentity.of(process.pid)
    (folder / "pid").write_text(str(server))
    return server


def _prepare(lab: Lab, folder: Path, address: str) -> None:
    import bcrypt

    folder.mkdir(mode=0o700)
    make_certificate(lab.folder / "authority", folder / "pki", "bmc", address)
    password = secrets.token_urlsafe(24)
    with open(os.open(folder / "password", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(password)
    (folder / "users").write_text(f"{USER}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n")


def _answers(bmc: BMC) -> bool:
    import urllib.error
    import urllib.request

    try:
        context = ssl.create_default_context(cafile=bmc.ca_file)
        with urllib.request.urlopen(f"{bmc.url}/redfish/v1/", timeout=2, context=context) as answer:  # noqa: S310 - https, see `start`
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _driver(lab: Lab, base: Any) -> Any:
    """Return the class of sushy-tools' driver that switches the hosts of a lab."""
    hosts, powering_off = {system_of(host.name): host for host in lab.hosts}, set[str]()

    class Hosts(base):  # type: ignore[misc]
        """The hosts as systems. What is not about power is simulated by sushy-tools."""

        def get_power_state(self, identity: str) -> str:
            """Return "On" while any process of the host runs."""
            if identity in powering_off:
                return "PoweringOff"
            return "On" if hosts[identity].powered else "Off"

        def set_power_state(self, identity: str, state: str) -> None:
            """Kill the host's processes, or start its libvirtd."""
            if state in ("On", "ForceOn"):
                hosts[identity].power_on()
            elif state == "ForceOff":
                self._force_off(identity)
            else:
                from sushy_tools import error

                raise error.NotSupportedError(f"the lab does not offer {state}")

        def _force_off(self, identity: str) -> None:
            file = lab.folder / "bmc" / f"lie-{identity}"
            lie = file.read_text() if file.exists() else ""
            if lie == "slow":
                powering_off.add(identity)
                threading.Timer(POWERING_OFF, self._end, [identity]).start()
            elif lie != "ignores":
                hosts[identity].power_off()
            if lie == "timeout":
                time.sleep(SILENT)

        def _end(self, identity: str) -> None:
            hosts[identity].power_off()
            powering_off.discard(identity)

    return Hosts


def serve(name: str) -> None:
    """Serve Redfish for a lab, until this process is killed."""
    from sushy_tools.emulator import main
    from sushy_tools.emulator.resources.systems.fakedriver import FakeDriver
    from werkzeug.serving import make_server

    from novacron_lab.lab import Lab

    lab = Lab.attach(name)
    folder = lab.folder / "bmc"
    systems = [{"uuid": system_of(host.name), "name": host.name, "power_state": "On", "nics": []} for host in lab.hosts]
    main.app.configure(
        extra_config={
            "SUSHY_EMULATOR_FAKE_SYSTEMS": systems,
            "SUSHY_EMULATOR_STATE_DIR": str(folder),
            "SUSHY_EMULATOR_AUTH_FILE": str(folder / "users"),
        }
    )
    driver = _driver(lab, FakeDriver).initialize(main.app.config, main.app.logger)()
    main.Application.systems = property(lambda _: driver)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pki" / "server-cert.pem", folder / "pki" / "server-key.pem")
    server = make_server(f"10.231.{lab.subnet}.2", PORT, main.app, threaded=True)
    # the TLS handshake is made in the thread of the request, so that a client that sends nothing delays no other one
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.ssl_context = context
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1])


__all__ = ["BMC", "serve", "start", "system_of"]
