"""Secrets by name. Specs, records and definitions contain only the name. The value is looked up when it is needed and never stored.

A secret is looked up in this order: a file named by an environment variable, an environment variable, the plugins with
`secret_backends`, and the user's keyring. For the secret "disk-key" these are `NOVACRON_SECRET_DISK_KEY_FILE`,
`NOVACRON_SECRET_DISK_KEY`, and the entry "disk-key" of the service "novacron" in the keyring (`keyring set novacron disk-key`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from novacron.errors import InvalidStateError, NovaCronError, PluginError, SecretNotFoundError
from novacron.redaction import is_secret_name

CLEARTEXT = "NOVACRON_CLEARTEXT_SECRETS"
"""The variable that allows a machine to send secrets without encryption."""
KEYRING = "novacron"
"""The keyring's service; its user is the secret's name."""
LONGEST = 2**20
"""The largest number of bytes of a file with a secret."""


class Secrets:
    """Looks up secrets by name.

    Args:
        backends: returns the backends of plugins (`secret_backends`): functions that return a secret's value by name, or None.

    Example:
        >>> import os
        >>> os.environ["NOVACRON_SECRET_DISK_KEY"] = "correct horse"
        >>> Secrets().get("disk-key")
        'correct horse'
        >>> Secrets().get("another")
        Traceback (most recent call last):
        ...
        novacron.errors.SecretNotFoundError: no secret 'another'
    """

    def __init__(self, backends: Callable[[], Iterable[Callable[[str], str | None]]] = tuple) -> None:
        self._backends = backends

    def get(self, name: str) -> str:
        """Return a secret's value.

        Raises:
            SecretNotFoundError: there is no secret of that name.
            InvalidStateError: its file can't be read, other users can read it, or the secret is empty.
            PluginError: a plugin's backend failed.
        """
        variable = variable_of(name)
        value = self.find(name, variable)
        if value is None:
            raise SecretNotFoundError(
                f"no secret {name!r}",
                resource=name,
                outcome="not_sent",
                hint=f"set {variable}, name a file in {variable}_FILE, or store it: keyring set {KEYRING} {name}",
            )
        return value

    def find(self, name: str, variable: str) -> str | None:
        """Return the value of a secret, or None.

        The order is: the file that `$variable_FILE` names, the environment variable `variable`, the plugins, the keyring.

        Raises:
            InvalidStateError: the file can't be read, other users can read it, or the secret is empty.
            PluginError: a plugin's backend failed.
        """
        value = self._look_up(name, variable)
        if value == "":
            hint = f"check {variable}, {variable}_FILE, the plugins and the keyring"
            raise InvalidStateError(f"the secret {name!r} is empty", resource=name, outcome="not_sent", hint=hint)
        return value

    def _look_up(self, name: str, variable: str) -> str | None:
        if file := os.environ.get(f"{variable}_FILE"):
            return read_secret(Path(file))
        if (value := os.environ.get(variable)) is not None:
            return value
        for backend in self._backends():
            if (value := _asked(backend, name)) is not None:
                return value
        return _kept(name)


def variable_of(name: str) -> str:
    """Return the name of a secret's environment variable.

    Example:
        >>> variable_of("web1.disk-key")
        'NOVACRON_SECRET_WEB1_DISK_KEY'
    """
    return "NOVACRON_SECRET_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def environment_without_secrets() -> dict[str, str]:
    """Return the environment of this process without its secrets, for programs that need none of them.

    A program may outlive this process, or hand its environment to others. Left out are NovaCron's variables with a secret, and the URL of
    the state database, which may contain a password.

    Example:
        >>> os.environ["NOVACRON_SECRET_DISK_KEY"] = "correct horse"
        >>> "NOVACRON_SECRET_DISK_KEY" in environment_without_secrets(), "PATH" in environment_without_secrets()
        (False, True)
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("NOVACRON_") and (is_secret_name(name) or name == "NOVACRON_DATABASE"))
    }


def read_secret(file: Path) -> str:
    """Return the content of a file, without the newline at its end.

    Raises:
        InvalidStateError: the file can't be read, is no ordinary text file, belongs to another user, or others can read it.
    """
    try:
        with open(file, "rb", opener=_without_waiting) as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise InvalidStateError(f"{file} is no ordinary file", outcome="not_sent", hint="write the secret to a file")
            if os.name == "posix" and about.st_uid not in (0, os.geteuid()):
                hint = f"chown {os.geteuid()} {file}, after you checked its content"
                raise InvalidStateError(f"{file} belongs to another user", outcome="not_sent", hint=hint)
            if os.name == "posix" and about.st_mode & 0o077:
                raise InvalidStateError(f"others may read {file}", outcome="not_sent", hint=f"chmod 600 {file}")
            content = opened.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise InvalidStateError(f"{file} is too long for a secret", outcome="not_sent", hint=f"at most {LONGEST} bytes")
        return content.decode().rstrip("\n")
    except OSError as error:
        raise InvalidStateError(f"can't read the secret from {file}: {error.strerror}", outcome="not_sent") from error
    except ValueError:  # of the decoder, whose text may show a part of the secret, or of a NUL in the path
        hint = "store the secret as text, binary data as Base64"
        raise InvalidStateError(
            f"can't read the secret from {str(file)!r}: no UTF-8 text", outcome="not_sent", hint=hint
        ) from None


def _without_waiting(file: str, flags: int) -> int:
    """Open a file for reading. A pipe that nobody writes to does not block."""
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def _asked(backend: Callable[[str], str | None], name: str) -> str | None:
    """Return a secret from a plugin's backend. On failure only the class of the error is reported, because its text may contain secrets."""
    try:
        found = backend(name)
    except NovaCronError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's own
        where = f"{getattr(backend, '__module__', '?')}.{getattr(backend, '__qualname__', type(backend).__name__)}"
        raise PluginError(f"{where} failed to look for the secret {name!r}: {type(error).__name__}", outcome="not_sent") from None
    return None if found is None else str(found)


def _kept(name: str) -> str | None:
    """Return a secret from the user's keyring; None without a keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING, name)
    except KeyringError:
        return None


def require_encryption(what: str, url: str, *, encrypted: bool | None = None) -> None:
    """Refuse to send a secret to another machine without encryption, unless this machine allows it (`NOVACRON_CLEARTEXT_SECRETS=1`).

    Args:
        what: the secret, for the error.
        url: the address that it is sent to; the loopback is always allowed.
        encrypted: whether the connection is encrypted; by default, whether the scheme is https.

    Raises:
        InvalidStateError

    Example:
        >>> require_encryption("the token", "https://example.org/"), require_encryption("the token", "http://127.0.0.1:9093/")
        (None, None)
    """
    parts = urlsplit(url)
    if (parts.scheme == "https") if encrypted is None else encrypted:
        return
    host = parts.hostname or "localhost"
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and os.environ.get(CLEARTEXT) != "1":
        raise InvalidStateError(
            f"{what} would be sent to {host} without encryption",
            outcome="not_sent",
            hint=f"use TLS, or set {CLEARTEXT}=1 on this machine to allow it",
        )


__all__ = ["CLEARTEXT", "KEYRING", "Secrets", "environment_without_secrets", "read_secret", "require_encryption", "variable_of"]
