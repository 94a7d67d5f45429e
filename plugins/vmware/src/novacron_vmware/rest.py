"""A vCenter's REST API, for what SOAP has not: a session of its own, kept connections, and the TLS of the other session."""

from __future__ import annotations

import http.client
import json
import threading
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from novacron.errors import AccessDeniedError, DriverError, HostConnectionError, NovaCronError, UnsupportedOperationError
from novacron_vmware.errors import translated

if TYPE_CHECKING:
    from novacron_vmware.session import Session


class Dialect(NamedTuple):
    """How a generation of the API writes a session's path, the others', an action and an object's id; `wrapped` answers have a "value"."""

    session: str
    base: str
    action: str
    identity: str
    wrapped: bool


DIALECTS = (
    Dialect("/api/session", "/api/cis", "action", "", wrapped=False),
    Dialect("/rest/com/vmware/cis/session", "/rest/com/vmware/cis", "~action", "id:", wrapped=True),
)
"""vCenter 7.0 Update 2 and later; those before."""


CONTENT = Dialect("", "/rest/com/vmware/content", "~action", "id:", wrapped=True)
OVF = Dialect("", "/rest/com/vmware/vcenter/ovf", "~action", "id:", wrapped=True)
TEMPLATES = Dialect("", "/rest/vcenter/vm-template", "action", "", wrapped=True)
"""Content libraries, the deployment of their items, and VM templates in them. All vCenters have these paths, in any session."""


class RestAPI:
    """The API of one server; it logs in at the first call. Safe for many threads.

    Args:
        session: the SOAP session whose user, password and TLS are used.
        exists: False for an ESXi, which has no such API.
    """

    def __init__(self, session: Session, *, exists: bool) -> None:
        self._soap, self._exists = session, exists
        self._guard = threading.Lock()
        self._idle = deque[http.client.HTTPSConnection]()
        self._dialect: Dialect | None = None
        self._looked = False
        self._session = ""

    def offered(self, *, certain: bool = False) -> bool:
        """Whether the server has the API and lets this user in; an ESXi has not. Where it is but does not work now, it is looked for again.

        Raises:
            HostConnectionError: it does not work now, and the answer has to be `certain`.
        """
        with self._guard:
            if not self._looked:
                self._looked, trouble = True, 0
                for dialect in DIALECTS if self._exists else ():
                    status = self._log_in(dialect)
                    if status < HTTPStatus.BAD_REQUEST:
                        self._dialect = dialect
                        return True
                    trouble = max(trouble, status)
                if trouble >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._looked = False
                    if certain:
                        raise HostConnectionError(
                            f"the server's REST API does not work now: {trouble}",
                            outcome="not_sent",
                            hint="it begins some minutes after the vCenter; look at its service vapi-endpoint",
                        )
            return self._dialect is not None

    def call(
        self,
        verb: str,
        path: str,
        *,
        identity: str | None = None,
        action: str | None = None,
        body: Any = None,
        dialect: Dialect | None = None,
    ) -> Any:
        """Ask below ".../cis", or below another dialect's base, and return what was answered; logs in again when the session expired.

        Raises:
            AccessDeniedError
            DriverError: the server's own error, its text in the details.
        """
        if not self.offered() or (own := self._dialect) is None:
            raise UnsupportedOperationError("the server has no REST API, or does not let this user in", outcome="not_sent")
        dialect = dialect or own
        where = f"{dialect.base}/{path}" + (f"/{dialect.identity}{identity}" if identity is not None else "")
        where += f"?{dialect.action}={action}" if action else ""
        before = self._session
        status, content = self._ask(verb, where, body, {"vmware-api-session-id": before})
        if status == HTTPStatus.UNAUTHORIZED:
            with self._guard:
                if self._session == before:
                    self._log_in(own)
            status, content = self._ask(verb, where, body, {"vmware-api-session-id": self._session})
        if status >= HTTPStatus.BAD_REQUEST:
            raise _failure(status, f"{verb} {where}", content)
        answer = _decoded(content, path) if content else None
        return answer.get("value") if dialect.wrapped and isinstance(answer, dict) else answer

    def find(self, path: str, identity: str) -> Any:
        """Return one object; None when it is not there."""
        try:
            return self.call("GET", path, identity=identity)
        except DriverError as error:
            if error.details.get("status") == HTTPStatus.NOT_FOUND:
                return None
            raise

    def headers(self, host: str | None) -> dict[str, str]:
        """Return what makes a request for a file one of this session; nothing for another server, which has no use for the secret."""
        return {"vmware-api-session-id": self._session} if self._soap.serves(host) else {}

    def close(self) -> None:
        """Log out."""
        with suppress(NovaCronError):
            if self._dialect is not None:
                self._ask("DELETE", self._dialect.session, None, {"vmware-api-session-id": self._session})
        while self._idle:
            self._idle.pop().close()

    def _log_in(self, dialect: Dialect) -> int:
        status, content = self._ask("POST", dialect.session, None, {"Authorization": self._soap.authorization()})
        if status < HTTPStatus.BAD_REQUEST:
            answer = _decoded(content, dialect.session)
            session = answer.get("value") if dialect.wrapped and isinstance(answer, dict) else answer
            if not (isinstance(session, str) and session.isascii() and session.isprintable()):
                raise DriverError(f"{dialect.session} answers without a session", hint="is this a vCenter?")
            self._session = session
        return status

    def _ask(self, verb: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send one request. If a kept connection turns out to be closed, the request is sent again: all requests here can be repeated."""
        data = None if body is None else json.dumps(body).encode()
        headers = headers | ({"Content-Type": "application/json"} if data is not None else {})
        with translated(path.partition("?")[0]):
            while True:
                try:
                    web, kept = self._idle.pop(), True
                except IndexError:
                    web, kept = self._soap.web(), False
                try:
                    web.request(verb, path, body=data, headers=headers)
                    answer = web.getresponse()
                    status, content = answer.status, answer.read()
                except (http.client.HTTPException, OSError) as error:
                    web.close()
                    if kept and not isinstance(error, TimeoutError):
                        continue
                    raise
                self._idle.append(web)
                return status, content


def _decoded(content: bytes, what: str) -> Any:
    """Return the value of a text in JSON. Raises DriverError, which quotes nothing of it."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DriverError(f"the server's answer to {what} is not JSON", hint="is there a proxy before the server?") from error


def _failure(status: int, what: str, content: bytes) -> NovaCronError:
    details = {"status": status, "answer": content.decode(errors="replace")[:1000]}
    kind = AccessDeniedError if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else DriverError
    return kind(
        f"the server refuses {what}: {status} {http.client.responses.get(status, '')}".rstrip(),
        details=details,
        hint="look at the user's privileges, and at the details of what was answered",
    )


__all__ = ["CONTENT", "OVF", "TEMPLATES", "Dialect", "RestAPI"]
