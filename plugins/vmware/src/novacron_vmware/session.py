"""The session with a server: TLS, the password, and logging in again when the session expired."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from novacron.errors import AuthenticationError, HostConnectionError, InvalidSpecError, SpecProblem
from novacron.plugins import ConnectContext, HostURI
from novacron.secrets import KEYRING, read_secret
from novacron_vmware import deserializer
from novacron_vmware.answers import LimitedConnection, SoapConnection
from novacron_vmware.sdk import SoapStubAdapter, known_versions, vim, vmodl

PASSWORD = "NOVACRON_VSPHERE_PASSWORD"  # noqa: S105 - the variable's name
ATTEMPTS = 5
"""How often a call is made when its session has ended each time: somebody may end sessions as fast as they begin."""


class Session(SoapStubAdapter):  # type: ignore[misc]
    """A stub that logs in again when its session expired, and repeats the refused call, which was not carried out.

    pyvmomi's SessionOrientedStub also repeats calls whose connection broke, and these may have been carried out. Each thread that calls
    takes a connection of its own from the stub's pool.

    Attributes:
        content: vSphere's ServiceContent, which the server tells without a session.
        logins: how often a session began.
    """

    def __init__(self, *, user: str, password: str, **arguments: Any) -> None:
        deserializer.install()
        super().__init__(path="/sdk", **arguments)
        self.scheme = SoapConnection
        self._address, self._tls = (arguments["host"], arguments["port"]), arguments["sslContext"]
        self._timeout = arguments["httpConnectionTimeout"]
        self._user, self._password, self._guard = user, password, threading.RLock()
        self.logins = 0
        self.content = vim.ServiceInstance("ServiceInstance", self).RetrieveContent()

    def log_in(self) -> None:
        """Begin a session."""
        self.content.sessionManager.Login(self._user, self._password)
        self.logins += 1

    def log_in_again(self, logins: int) -> None:
        """Begin a session, unless another thread has done so since there were that many."""
        with self._guard:
            if self.logins == logins:
                self.log_in()

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        for _ in range(ATTEMPTS - 1):
            before = self.logins
            try:
                return self._invoke(mo, info, args, outerStub)
            except vim.fault.NotAuthenticated:
                if info.name in ("Login", "Logout"):
                    raise
                self.log_in_again(before)
        return self._invoke(mo, info, args, outerStub)

    def _invoke(self, mo: Any, info: Any, args: Any, outer: Any) -> Any:
        """Make a call. Answers that pyvmomi can't read raise many kinds of errors in it; all of them are HTTPException here."""
        try:
            return super().InvokeMethod(mo, info, args, outer)
        except (vmodl.MethodFault, OSError, http.client.HTTPException):
            raise
        except Exception as error:
            raise http.client.HTTPException(f"what it answers to {info.name} is not vSphere's: {error}") from error

    def serves(self, host: str | None) -> bool:
        """Whether a host name is that of this session's server."""
        return host in (None, self._address[0])

    def web(self, host: str | None = None, port: int | None = None, *, limited: bool = True) -> http.client.HTTPSConnection:
        """Return an HTTPS connection to this server, or to an ESXi that it names; requests for files need `headers()`.

        Args:
            host: the host; this server when None.
            port: its port; that of this server when None.
            limited: limit the size and the time of answers. False for the content of disks, which is read in parts.
        """
        address = (host or self._address[0], port or self._address[1])
        kind = LimitedConnection if limited else http.client.HTTPSConnection
        return kind(*address, timeout=self._timeout, context=self._tls)

    def certificate(self) -> bytes:
        """Return the server's certificate as it shows it now, in DER; it is verified as for every other call."""
        web = self.web()
        try:
            web.connect()
            return web.sock.getpeercert(binary_form=True) or b""
        finally:
            web.close()

    @property
    def user(self) -> str:
        """The user that logs in."""
        return self._user

    def credential(self) -> Any:
        """Return the user and password as another vCenter needs them to hand a VM over."""
        return vim.ServiceLocator.NamePassword(username=self._user, password=self._password)

    def authorization(self) -> str:
        """Return the user and password as HTTP's basic authentication has them, for an API with a session of its own."""
        return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()

    def headers(self) -> dict[str, str]:
        """Return what makes a request for a file one of this session."""
        return {"Cookie": str(self.cookie).partition(";")[0]}


def password_for(uri: HostURI, context: ConnectContext) -> str:
    """Return the password: the option `password`, a file (the option `password_file`), or where secrets are looked for.

    Raises:
        AuthenticationError: there is none.
        InvalidStateError: the file can't be read, or others may read it.
    """
    if (given := context.options.get("password")) is not None:
        return str(given)
    if file := context.options.get("password_file") or uri.query.get("password_file"):
        return read_secret(Path(file))
    account = f"{uri.username or 'root'}@{uri.host}"
    if (given := context.secrets.find(account, PASSWORD)) is not None:
        return given
    raise AuthenticationError(
        f"no password for {account}",
        outcome="not_sent",
        details={"option": "password"},
        hint=f"set {PASSWORD}, name a file in {PASSWORD}_FILE, give password=..., or keep it: keyring set {KEYRING} {account}",
    )


def api_version(host: str, port: int, tls: ssl.SSLContext, timeout: float) -> str:
    """Return the newest version of the API that both the server and pyvmomi know.

    pyvmomi's SmartStubAdapter asks for the same document, without any timeout.

    Raises:
        HostConnectionError: the server is no vSphere, or has no version that pyvmomi knows.
        OSError, http.client.HTTPException: it can't be reached.
    """
    web = LimitedConnection(host, port, timeout=timeout, context=tls)
    try:
        web.request("GET", "/sdk/vimServiceVersions.xml")
        answer = web.getresponse()
        content = answer.read() if answer.status == http.client.OK else b""
    finally:
        web.close()
    found = {number.decode() for number in re.findall(rb"<version>\s{0,99}([\w.]{1,40})\s{0,99}</version>", content)}
    if version := next((name for name, number in known_versions() if number in found), None):
        return version
    raise HostConnectionError(f"{host}:{port} does not answer as vSphere: it names no version of its API", outcome="not_sent")


def tls_context(host: str, port: int, query: Any, timeout: float) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, a file's, exactly one certificate, or anything, as the URI says."""
    from novacron_vmware.errors import TLS_HINT

    verify, thumbprint = query.get("verify", "yes"), query.get("thumbprint", "").replace(":", "").lower()
    if verify not in ("yes", "no"):
        raise InvalidSpecError("invalid URI", problems=[SpecProblem("verify", verify, "yes or no")])
    if thumbprint and len(thumbprint) not in (40, 64):
        raise InvalidSpecError(
            "invalid URI", problems=[SpecProblem("thumbprint", thumbprint, "a SHA-256 or SHA-1 in hexadecimal")]
        )
    try:
        context = ssl.create_default_context(cafile=query.get("cafile"))
    except OSError as error:
        problem = SpecProblem("cafile", query["cafile"], f"a file of certificates (PEM): {error}")
        raise InvalidSpecError("invalid URI", problems=[problem], hint=TLS_HINT) from error
    if thumbprint or verify == "no":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout) as plain, context.wrap_socket(plain, server_hostname=host) as probe:
        certificate = probe.getpeercert(binary_form=True) or b""
    if thumbprint:
        found = hashlib.new("sha256" if len(thumbprint) == 64 else "sha1", certificate, usedforsecurity=True).hexdigest()
        if not hmac.compare_digest(found, thumbprint):
            raise HostConnectionError(
                f"the certificate of {host} has the thumbprint {found}, not {thumbprint}",
                outcome="not_sent",
                hint="if that is the right server and it got a new certificate, give the new thumbprint",
            )
        # from here on that very certificate is the one authority, for every connection of the session
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=certificate)
    return context


__all__ = ["PASSWORD", "Session", "api_version", "password_for", "tls_context"]
