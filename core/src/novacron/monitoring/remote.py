"""Prometheus' remote storage: write each round to it, and read series back."""

from __future__ import annotations

import threading
import urllib.error
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from novacron.errors import InvalidSpecError, InvalidStateError, SpecProblem, StorageError
from novacron.monitoring.posting import post
from novacron.monitoring.remote_messages import RemoteMessages
from novacron.records.series import Sample, Series
from novacron.redaction import without_secret
from novacron.secrets import require_encryption
from novacron.threads import in_thread
from novacron.urls import problem_of, scheme_of

BACKLOG = 60
"""How many rounds are kept in memory while the server can't be reached."""
AT_ONCE = 5000
"""How many samples one request has."""
DEADLINE = 30.0
"""Seconds that the server may take for one request."""
LARGEST = 256 * 2**20
"""How many bytes of an answer are read."""
TRY_AGAIN = (408, 429)
PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}


class Remote:
    """An address of a server that speaks Prometheus' remote protocols: Prometheus, VictoriaMetrics, Mimir, Thanos.

    Args:
        url: such as `https://prometheus.example.org/api/v1/write`.
        token: returns the bearer token; None for no authentication.
        ca: a PEM file with certificates to trust besides those of the system.

    Raises:
        InvalidSpecError: an invalid address, one with a password, or one that would get the token without encryption.
    """

    def __init__(self, url: str, token: Callable[[], str] | None = None, ca: str | None = None) -> None:
        if problem := problem_of(url, ("http", "https")):
            hint = "name a secret as token: `--remote-token NAME`"
            raise InvalidSpecError(
                "invalid address of remote storage", problems=[SpecProblem("url", scheme_of(url), problem)], hint=hint
            )
        if token is not None:
            try:
                require_encryption("the token of the remote storage", url)
            except InvalidStateError as error:  # said now, and not when there are samples to send
                clear = [SpecProblem("url", scheme_of(url), f"https: {error}")]
                raise InvalidSpecError("invalid address of remote storage", problems=clear, hint=error.hint) from None
        self.url, self.token, self._ca = url, token, ca

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def _post(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Send a request.

        Args:
            body: its content.
            headers: headers that say what the content is.

        Raises:
            Rejected: the server does not accept the content, and never will.
            StorageError: it is to be tried again.
        """
        named = {"User-Agent": "NovaCron", **headers}
        token = self.token() if self.token is not None else ""
        if token:
            require_encryption("the token of the remote storage", self.url)
            named["Authorization"] = f"Bearer {token}"
        try:
            return post(self.url, body, named, timeout=DEADLINE, ca=self._ca, limit=LARGEST)
        except urllib.error.HTTPError as error:
            text = without_secret(error.read(500).decode(errors="replace").strip(), token)
            kind = Rejected if 400 <= error.code < 500 and error.code not in TRY_AGAIN else StorageError
            raise kind(
                f"{self.url} answered {error.code}: {text}", hint="check the address, the token and the server's log"
            ) from None
        except OSError as error:
            raise StorageError(f"{self.url} can't be reached: {error}", hint="check the address and the server") from error


class Rejected(StorageError):
    """The server does not accept the content of a request, so that it is useless to send it again."""


class QueuedWriter(Remote):
    """Sends each round in a thread, so that a server that hangs does not delay the collection.

    While the server can't be reached, up to 60 rounds wait in memory. What the server rejects, such as samples that are too old, is
    dropped. Each problem is one of the next round's.
    """

    name = ""

    def __init__(self, url: str, token: Callable[[], str] | None = None, ca: str | None = None) -> None:
        super().__init__(url, token, ca)
        self._waiting: deque[Sequence[Sample]] = deque()
        self._guard = threading.Lock()
        self._sending: Future[None] | None = None
        self._active = False
        self._problem: StorageError | None = None

    def write(self, samples: Sequence[Sample]) -> None:
        """Send samples, each with its time. Raises Rejected, StorageError."""
        raise NotImplementedError

    def export(self, at: float, samples: Sequence[Sample]) -> None:
        """Let a round be sent.

        Raises:
            StorageError: an earlier round could not be sent, or was dropped.
        """
        with self._guard:
            self._waiting.append([sample if sample.at is not None else sample.replace(at=at) for sample in samples])
            problem, self._problem = self._problem, None
            if len(self._waiting) > BACKLOG:
                self._waiting.popleft()
                problem = StorageError(
                    f"the oldest of {BACKLOG} rounds that wait for {self.url} was dropped", hint="check the server"
                )
            if not self._active:
                self._active = True
                self._sending = in_thread(self._send, f"novacron-{self.name}")
        if problem is not None:
            raise problem

    def waiting(self) -> int:
        """Return how many rounds were not sent yet."""
        return len(self._waiting)

    def flush(self, seconds: float = DEADLINE) -> None:
        """Wait until the thread has sent what it can."""
        sending = self._sending
        if sending is not None:
            sending.result(seconds)

    def _send(self) -> None:
        first = self._next(None)
        while first is not None:
            try:
                for start in range(0, len(first), AT_ONCE):
                    self.write(first[start : start + AT_ONCE])
            except Rejected as error:
                self._problem = error
            except Exception as error:  # noqa: BLE001 - the secret may be missing, too; the round is sent again
                with self._guard:
                    self._active = False
                    self._problem = StorageError(f"{error}; {len(self._waiting)} rounds wait in memory", hint="it is sent again")
                return
            first = self._next(first)

    def _next(self, sent: Sequence[Sample] | None) -> Sequence[Sample] | None:
        """Forget the round that was sent, and return the next one; None if none waits."""
        with self._guard:
            if sent is not None and self._waiting and self._waiting[0] is sent:
                self._waiting.popleft()
            self._active = bool(self._waiting)
            return self._waiting[0] if self._waiting else None


class RemoteWriter(QueuedWriter):
    """Writes each round to remote storage. `fleet.metrics.add_exporter(RemoteWriter(url))` lets the collector use it.

    Raises:
        InvalidSpecError: an invalid address, one with a password, or one that would get the token without encryption.
        UnsupportedOperationError: the packages of `novacron[remote-write]` are not installed.
    """

    name = "remote-write"

    def __init__(self, url: str, token: Callable[[], str] | None = None, ca: str | None = None) -> None:
        super().__init__(url, token, ca)
        self._messages = RemoteMessages()

    def write(self, samples: Sequence[Sample]) -> None:
        """Send samples, each with its time. Raises Rejected, StorageError."""
        self._post(self._messages.write_request(samples), {**PROTOBUF, "X-Prometheus-Remote-Write-Version": "0.1.0"})


class RemoteReader(Remote):
    """Reads series from remote storage: `RemoteReader("http://127.0.0.1:9090/api/v1/read")`.

    Raises:
        InvalidSpecError: an invalid address, one with a password, or one that would get the token without encryption.
        UnsupportedOperationError: the packages of `novacron[remote-write]` are not installed.
    """

    def __init__(self, url: str, token: Callable[[], str] | None = None, ca: str | None = None) -> None:
        super().__init__(url, token, ca)
        self._messages = RemoteMessages()

    def query(self, metric: str, *, labels: Mapping[str, str] | None = None, since: float, until: float) -> list[Series]:
        """Return the series of a metric with all their samples.

        Args:
            metric: the metric's name.
            labels: only series that have these labels.
            since: the start, in seconds since 1970.
            until: the end, in seconds since 1970.

        Raises:
            StorageError: the server can't be reached, or answers something else.
        """
        request = self._messages.read_request(metric, labels or {}, since, until)
        body = self._post(request, {**PROTOBUF, "X-Prometheus-Remote-Read-Version": "0.1.0"})
        return self._messages.read_response(body, metric)


__all__ = ["QueuedWriter", "Rejected", "RemoteReader", "RemoteWriter"]
