"""Secrets by name. Specs, records and definitions hold only the name. The value is looked up when it is needed and never stored.

The places are, in this order: a file that an environment variable names, an environment variable, the plugins that offer
`secret_backends`, and the user's keyring. For the secret "disk-key" these are
`NOVACRON_SECRET_DISK_KEY_FILE`, `NOVACRON_SECRET_DISK_KEY`, and the keyring's entry of the
service "novacron" (`keyring set novacron disk-key`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from novacron.errors import InvalidStateError, NovaCronError, PluginError, SecretNotFoundError

KEYRING = "novacron"
"""The keyring's service; its user is the secret's name."""


class Secrets:
    """Looks secrets up by name.

    Args:
        backends: returns what plugins offer with `secret_backends`: functions from a secret's name to its value or None.

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
            InvalidStateError: its file can't be read, or other users can read it.
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

        The places are, in this order: the file that the variable `variable`_FILE names, `variable`, the plugins, the keyring.

        Raises:
            InvalidStateError: the file can't be read, or other users can read it.
            PluginError: a plugin's backend failed.
        """
        if file := os.environ.get(f"{variable}_FILE"):
            return read_secret(Path(file))
        if (value := os.environ.get(variable)) is not None:
            return value
        for backend in self._backends():
            if (value := _asked(backend, name)) is not None:
                return value
        return _kept(name)


def variable_of(name: str) -> str:
    """Return the environment variable of a secret.

    Example:
        >>> variable_of("web1.disk-key")
        'NOVACRON_SECRET_WEB1_DISK_KEY'
    """
    return "NOVACRON_SECRET_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def read_secret(file: Path) -> str:
    """Return what a file says, without the end of its line.

    Raises:
        InvalidStateError: it can't be read, or others may read it.
    """
    try:
        if file.stat().st_mode & 0o077:
            raise InvalidStateError(f"others may read {file}", outcome="not_sent", hint=f"chmod 600 {file}")
        return file.read_text().rstrip("\n")
    except OSError as error:
        raise InvalidStateError(f"can't read the secret from {file}: {error.strerror}", outcome="not_sent") from error


def _asked(backend: Callable[[str], str | None], name: str) -> str | None:
    """Return what a plugin's place has. When it fails only the kind of its error is passed on: its words may hold what is secret."""
    try:
        found = backend(name)
    except NovaCronError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin's own
        where = f"{getattr(backend, '__module__', '?')}.{getattr(backend, '__qualname__', type(backend).__name__)}"
        raise PluginError(f"{where} failed to look for the secret {name!r}: {type(error).__name__}", outcome="not_sent") from None
    return None if found is None else str(found)


def _kept(name: str) -> str | None:
    """Return what the user's keyring has, if there is a keyring."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING, name)
    except KeyringError:
        return None


__all__ = ["KEYRING", "Secrets", "read_secret", "variable_of"]
