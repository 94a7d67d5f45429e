"""Logs, support bundles and TLS certificates of the server and of its nodes."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from novacron.errors import HostConnectionError, InvalidSpecError, NotFoundError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron_vmware.answers import received
from novacron_vmware.errors import translated
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.history import time_of
from novacron_vmware.native.records import CertificateInfo, LogBundle, LogFile
from novacron_vmware.sdk import vim

END = 2**31 - 1
"""A line after every last one: the server answers with the number of lines."""


class VSphereDiagnostics(NativeOperations):
    """Logs, support bundles and certificates."""

    @vsphere.operation(kind="read")
    def log_list(self, node: str = "") -> list[LogFile]:
        """List the logs of the server, or of a node.

        Args:
            node: the node; the server itself by default.
        """
        thing = self._node(node)
        with translated(node or "logs"):
            found = self._diagnostics().QueryDescriptions(thing)
        logs = [LogFile(key=each.key, file=each.fileName, label=each.info.label, node=node or None) for each in found or ()]
        return sorted(logs, key=lambda log: log.key)

    @vsphere.operation(kind="read")
    def log_show(self, key: str, node: str = "", most: int = 100) -> list[str]:
        """Show the last lines of a log.

        Args:
            key: the log, as `log list` shows it.
            node: the node; the server itself by default.
            most: how many lines at most.
        """
        if most < 1:
            raise InvalidSpecError("no lines", problems=[SpecProblem("most", str(most), "1 or more")])
        known = [each.key for each in self.log_list(node)]
        if key not in known:
            raise NotFoundError(f"no log {key!r}", resource=key, hint=f"there are: {', '.join(known) or 'none'}")
        thing, manager = self._node(node), self._diagnostics()
        with translated(key):
            last = int(manager.BrowseDiagnosticLog(thing, key, END, 1).lineEnd or 0)
            return list(manager.BrowseDiagnosticLog(thing, key, max(1, last - most + 1), most).lineText or ())

    @vsphere.operation(kind="job")
    def log_bundle(self, target: BinaryIO, job: Job[LogBundle], node: str = "") -> LogBundle:
        """Let the server, or a node, make a support bundle, and write it to a local file.

        Args:
            target: the local file, which must not exist.
            node: the node; the server itself by default.
        """
        thing, manager = self._node(node), self._diagnostics()
        hosts = [thing] if thing is not None else None
        bundles = self._run(node or "logs", lambda: manager.GenerateLogBundles_Task(thing is None, hosts), job)
        if not bundles:
            raise NotFoundError("the server made no bundle", resource=node or None, hint="look at its tasks")
        url = urlsplit(bundles[0].url)
        host = None if url.hostname in (None, "*") else url.hostname
        session = self._connection.session
        size = 0
        with translated(node or "logs"):
            web = session.web(host, url.port, limited=False)
            try:
                web.request("GET", url.path, headers=session.headers() if session.serves(host) else {})
                answer = web.getresponse()
                if answer.status != http.client.OK:
                    raise HostConnectionError(f"the server does not give the bundle: {answer.status} {answer.reason}")
                for chunk in received(answer, "the bundle"):
                    job.raise_if_cancelled()
                    target.write(chunk)
                    size += len(chunk)
                    job.report("downloading", None, transferred_bytes=size)
            finally:
                web.close()
        return LogBundle(file=str(getattr(target, "name", "")), size_bytes=size, node=node or None)

    @vsphere.operation(kind="read")
    def certificate_show(self) -> CertificateInfo:
        """Show the TLS certificate that the server uses now."""
        session = self._connection.session
        with translated("certificate"):
            der = session.certificate()
            shown = _parsed(der, *self._connection.address, self._connection.timeout)
        return CertificateInfo(
            of=str(self._connection.address[0]),
            subject=_named(shown.get("subject", ())),
            issuer=_named(shown.get("issuer", ())),
            begins_at=_moment(shown.get("notBefore")),
            ends_at=_moment(shown.get("notAfter")),
            sha256=hashlib.sha256(der).hexdigest(),
            status="",
        )

    @vsphere.operation(kind="read")
    def node_certificate(self, node: str) -> CertificateInfo:
        """Show the TLS certificate of a node, and what its vCenter says of it."""
        thing = self._node(node)
        path = "configManager.certificateManager"
        manager = self._connection.read(thing, [path]).get(path)
        if manager is None:
            raise UnsupportedOperationError(f"{node!r} tells no certificate", resource=node, hint="connect the node first")
        info = self._connection.read(manager, ["certificateInfo"])["certificateInfo"]
        pem = bytes(byte % 256 for byte in self._connection.read(thing, ["config.certificate"]).get("config.certificate") or ())
        return CertificateInfo(
            of=node,
            subject=info.subject or "",
            issuer=info.issuer or "",
            begins_at=time_of(info.notBefore) or "",
            ends_at=time_of(info.notAfter) or "",
            sha256=hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest() if pem.startswith(b"-----BEGIN") else "",
            status=str(info.status or ""),
        )

    def _node(self, node: str) -> Any:
        return self._find(vim.HostSystem, node, "node") if node else None

    def _diagnostics(self) -> Any:
        return self._manager("diagnosticManager", "logs")


def _parsed(der: bytes, host: str, port: int, timeout: float) -> dict[str, Any]:
    """Return a certificate's fields. Python tells them only of a certificate that it trusts: so exactly this one is trusted."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(der))
    try:
        with socket.create_connection((host, port), timeout=timeout) as link, context.wrap_socket(link) as tls:
            return dict(tls.getpeercert() or {})
    except ssl.SSLCertVerificationError:  # expired, or meanwhile another one
        return {}


def _named(parts: Any) -> str:
    return ", ".join(f"{key}={value}" for part in parts for key, value in part)


def _moment(text: Any) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC).isoformat() if text else ""


__all__ = ["VSphereDiagnostics"]
