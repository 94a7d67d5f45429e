"""Delivers notifications: to a file, the desktop, a webhook, a mailbox, Alertmanager, Apprise's services, a plugin's sink, or a flow.

Each notification has a key that stays the same if it is sent again, so that receivers can ignore doubles.
"""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from novacron.errors import (
    MISSING,
    UNKNOWN,
    InvalidSpecError,
    InvalidStateError,
    NovaCronError,
    SpecProblem,
    StorageError,
    UnsupportedOperationError,
)
from novacron.monitoring.alerting.desktop import show
from novacron.monitoring.posting import post
from novacron.plugins.names import by_name, refuse_claimed
from novacron.records.alerts import Notification
from novacron.redaction import described, without_secret
from novacron.secrets import require_encryption
from novacron.state import make_private, open_private
from novacron.urls import problem_of, scheme_of

SINKS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "log": (frozenset(), frozenset({"file"})),
    "webhook": (frozenset({"url"}), frozenset({"token", "ca"})),
    "alertmanager": (frozenset({"url"}), frozenset({"token", "ca"})),
    "email": (frozenset({"to", "from", "server"}), frozenset({"tls", "user", "password", "ca"})),
    "desktop": (frozenset(), frozenset()),
    "apprise": (frozenset({"secret"}), frozenset()),
    "plugin": (frozenset({"name"}), frozenset()),
    "flow": (frozenset({"flow"}), frozenset({"arguments", "tag", "at_most", "per_hour"})),
}
"""Each type of sink with its required and its optional fields. `token`, `password` and `secret` are names of secrets."""
TLS = ("starttls", "tls", "none")
MOST_RUNS = 100
"""The largest number of runs that one sink may be allowed to begin at once or in an hour."""
LOGS = (".jsonl", ".json", ".log")
"""How the file of a sink "log" must end. Whoever can write the state database chooses it, and no program runs files of such names."""
DEADLINE = 15.0
"""Seconds that a receiver may take for one network operation."""


def check_sink(sink: Any, field: str) -> list[SpecProblem]:
    """Return what is wrong with the description of a sink."""
    if not isinstance(sink, Mapping):
        return [SpecProblem(field, type(sink).__name__, "a type, and the fields of that type")]
    kind = sink.get("type")
    if not isinstance(kind, str) or kind not in SINKS:
        return [SpecProblem(f"{field}.type", described(kind), "one of " + ", ".join(sorted(SINKS)))]
    required, optional = SINKS[kind]
    found = [SpecProblem(f"{field}.{name}", MISSING, f"a value: {kind} needs it") for name in sorted(required - set(sink))]
    fields = ", ".join(sorted(required | optional))
    unknown = sorted(map(str, set(sink) - required - optional - {"type"}))
    found += [SpecProblem(f"{field}.{name}", UNKNOWN, f"one of {fields}") for name in unknown]
    found += _text_problems(sink, field)
    if "url" in sink and (problem := problem_of(sink["url"], ("http", "https"))):
        found.append(SpecProblem(f"{field}.url", scheme_of(sink["url"]), f"{problem}; name a secret in token"))
    if "@" in str(sink.get("server", "")):
        found.append(
            SpecProblem(f"{field}.server", "an address with a user", "HOST or HOST:PORT; user and password have their own fields")
        )
    if sink.get("tls", "starttls") not in TLS:
        found.append(SpecProblem(f"{field}.tls", described(sink["tls"]), "one of " + ", ".join(TLS)))
    if "file" in sink and not str(sink["file"]).endswith(LOGS):
        found.append(SpecProblem(f"{field}.file", described(sink["file"]), "a file that ends with " + ", ".join(LOGS)))
    if not isinstance(sink.get("arguments", {}), Mapping):
        found.append(SpecProblem(f"{field}.arguments", described(sink["arguments"]), "names with values"))
    for name in ("at_most", "per_hour"):
        number = sink.get(name, 1)
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST_RUNS:
            found.append(SpecProblem(f"{field}.{name}", described(number), f"a whole number from 1 to {MOST_RUNS}"))
    return found


def _text_problems(sink: Mapping[str, Any], field: str) -> list[SpecProblem]:
    """Return the fields that must be one line of text and are not. An empty `ca` would turn off the check of certificates."""
    names = ("file", "token", "ca", "from", "server", "user", "password", "name", "secret")
    return [
        SpecProblem(f"{field}.{name}", type(sink[name]).__name__, "one line of text")
        for name in names
        if name in sink and not (isinstance(sink[name], str) and sink[name] and sink[name].isprintable())
    ]


def unencrypted(sink: Mapping[str, Any], field: str) -> list[SpecProblem]:
    """Return what of a valid sink would send its secret to another machine without encryption."""
    try:
        _require_encryption(sink)
    except InvalidStateError as error:  # said now, and not when there is an alert
        name = "url" if "url" in sink else "tls"
        given = scheme_of(sink["url"]) if "url" in sink else sink["tls"]
        return [
            SpecProblem(f"{field}.{name}", given, f"{'https' if name == 'url' else 'starttls or tls'}: {error}; {error.hint}")
        ]
    except ValueError:
        return [SpecProblem(f"{field}.server", described(sink["server"]), "HOST or HOST:PORT")]
    return []


def _require_encryption(sink: Mapping[str, Any]) -> None:
    """Refuse to send the secret of a sink without encryption; see `novacron.secrets`."""
    if sink.get("token"):
        require_encryption(f"the token of the sink {name_of(sink)}", sink["url"])
    elif sink.get("user"):
        encrypted = sink.get("tls", "starttls") != "none"
        require_encryption(f"the password of the sink {name_of(sink)}", f"//{sink['server']}", encrypted=encrypted)


class Sinks:
    """Makes the sinks that a configuration describes.

    Args:
        state: the state directory, where the sink "log" writes `alerts.jsonl`.
        secret: looks up a secret by name.
        plugins: returns the sinks of plugins.
        begin: begins the flow that a sink of the type "flow" names.
        hook: returns the hook that the plugins with sinks implement.
    """

    def __init__(
        self,
        state: Path,
        secret: Callable[[str], str],
        plugins: Callable[[], Iterable[Any]],
        begin: Callable[[Mapping[str, Any], Notification], object],
        hook: Callable[[], Any] = lambda: None,
    ) -> None:
        self._state, self._secret, self._plugins, self._begin, self._hook = state, secret, plugins, begin, hook

    def send(self, sink: Mapping[str, Any], notification: Notification) -> None:
        """Deliver a notification.

        Raises:
            NovaCronError: it was not delivered.
        """
        try:
            getattr(self, f"_{sink['type']}")(sink, notification)
        except NovaCronError:
            raise
        except Exception as error:
            what = str(error) or type(error).__name__
            raise StorageError(
                f"the sink {name_of(sink)} did not accept the notification: {what}", hint="it is sent again"
            ) from error

    def _log(self, sink: Mapping[str, Any], notification: Notification) -> None:
        path = Path(sink.get("file") or self._state / "alerts.jsonl")
        make_private(path.parent)
        with os.fdopen(open_private(path, os.O_WRONLY | os.O_APPEND), "a") as file:
            file.write(json.dumps(notification.as_dict()) + "\n")

    def _webhook(self, sink: Mapping[str, Any], notification: Notification) -> None:
        self._post(
            sink,
            sink["url"],
            {**notification.as_dict(), "title": notification.title, "text": notification.text},
            notification.key,
        )

    def _alertmanager(self, sink: Mapping[str, Any], notification: Notification) -> None:
        alerts = [
            {
                "labels": one.labels,
                "annotations": one.annotations,
                "startsAt": _time(one.active_since),
                **({"endsAt": _time(one.resolved_at)} if one.resolved_at is not None else {}),
            }
            for one in notification.alerts
        ]
        self._post(sink, sink["url"].rstrip("/") + "/api/v2/alerts", alerts, notification.key)

    def _post(self, sink: Mapping[str, Any], url: str, body: Any, key: str) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "User-Agent": "NovaCron"}
        if sink.get("token"):
            _require_encryption(sink)
            headers["Authorization"] = f"Bearer {self._secret(sink['token'])}"
        try:
            post(url, json.dumps(body).encode(), headers, timeout=DEADLINE, ca=sink.get("ca"))
        except HTTPError as error:  # its reason is the server's text
            with error:
                reason = without_secret(str(error.reason), headers.get("Authorization", "").removeprefix("Bearer "))
            raise StorageError(
                f"the sink {name_of(sink)} did not accept the notification: {error.code} {reason}", hint="it is sent again"
            ) from None

    def _email(self, sink: Mapping[str, Any], notification: Notification) -> None:
        message = EmailMessage()
        message["Subject"] = " ".join(notification.title.split())
        message["From"] = sink["from"]
        message["To"] = sink["to"] if isinstance(sink["to"], str) else ", ".join(sink["to"])
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{notification.key}@novacron>"
        message.set_content(notification.text)
        address = urlsplit(f"//{sink['server']}")
        tls = sink.get("tls", "starttls")
        context = ssl.create_default_context()
        if sink.get("ca"):
            context.load_verify_locations(sink["ca"])
        port = address.port or {"tls": 465, "starttls": 587, "none": 25}[tls]
        host = address.hostname or "localhost"
        password = self._secret(sink["password"]) if sink.get("user") else ""
        if password:
            _require_encryption(sink)
        try:
            connection = (
                smtplib.SMTP_SSL(host, port, timeout=DEADLINE, context=context)
                if tls == "tls"
                else smtplib.SMTP(host, port, timeout=DEADLINE)
            )
            with connection as server:
                if tls == "starttls":
                    server.starttls(context=context)
                if password:
                    server.login(sink["user"], password)
                server.send_message(message)
        except smtplib.SMTPException as error:  # the text is the server's
            raise StorageError(
                f"the sink {name_of(sink)} did not accept the notification: {without_secret(str(error), password)}",
                hint="it is sent again",
            ) from None

    def _desktop(self, sink: Mapping[str, Any], notification: Notification) -> None:
        critical = notification.status == "firing" and any(
            one.labels.get("severity") == "critical" for one in notification.alerts
        )
        show(notification.title, notification.text.partition("\n")[2], critical=critical, timeout=DEADLINE)

    def _apprise(self, sink: Mapping[str, Any], notification: Notification) -> None:
        try:
            import apprise
        except ImportError as error:
            hint = "install it: pip install 'novacron[apprise]'"
            raise UnsupportedOperationError("a sink of the type apprise needs the package apprise", hint=hint) from error
        service = apprise.Apprise()
        if not service.add(self._secret(sink["secret"])):  # the address has tokens in it, so it is in no message
            problem = SpecProblem("secret", sink["secret"], "the name of a secret whose value is an address of Apprise")
            raise InvalidSpecError("Apprise does not know such an address", problems=[problem])
        kind = apprise.NotifyType.FAILURE if notification.status == "firing" else apprise.NotifyType.SUCCESS
        if not service.notify(notification.text, title=notification.title, notify_type=kind):
            raise StorageError("the service of Apprise did not accept the notification", hint="it is sent again")

    def _flow(self, sink: Mapping[str, Any], notification: Notification) -> None:
        self._begin(sink, notification)

    def _plugin(self, sink: Mapping[str, Any], notification: Notification) -> None:
        given = by_name("alert sink", self._plugins())
        if sink["name"] not in given:
            refuse_claimed("alert sink", sink["name"], self._hook())
            problem = SpecProblem("name", sink["name"], "one of " + (", ".join(given) or "none"))
            raise InvalidSpecError("no plugin has that sink", problems=[problem])
        given[sink["name"]].send(notification)


def name_of(sink: Mapping[str, Any]) -> str:
    """Return the name of a sink for people. Of a URL it has only the host, because the path of a webhook may be a secret."""
    address = urlsplit(sink["url"]).netloc if sink.get("url") else ""
    place = address or next((sink[field] for field in ("server", "name", "flow", "file") if sink.get(field)), "")
    return f"{sink['type']} {place}".rstrip()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


__all__ = ["DEADLINE", "SINKS", "Sinks", "check_sink", "name_of", "unencrypted"]
