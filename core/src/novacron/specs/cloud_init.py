"""What cloud-init does in a guest when it boots for the first time."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from novacron.specs.spec import Spec
from novacron.specs.volumes import SecretName

HEADERS = (
    "#cloud-config",
    "#!",
    "#include",
    "#cloud-boothook",
    "#part-handler",
    "#upstart-job",
    "## template:",
    "Content-Type:",
    "MIME-Version:",
)
"""How user data begins. cloud-init ignores any other text without an error.
Source: https://docs.cloud-init.io/en/latest/explanation/format.html"""

LIMIT = 1024 * 1024
"""Characters that user data may have."""

_KEY = re.compile(r"(?P<type>[a-z0-9@.-]+) (?P<data>[A-Za-z0-9+/]+={0,3})(?: [^\x00-\x1f\x7f]*)?")


def _user_data(text: str) -> str:
    if not text.startswith(HEADERS):
        shown = ", ".join(repr(header) for header in HEADERS[:2])
        raise ValueError(f"text whose first line says what it is, such as {shown}: cloud-init ignores it otherwise")
    return text


def _ssh_key(text: str) -> str:
    """Return a public key as OpenSSH writes it, without line ends; the type must be the one in the key itself."""
    key = text.strip()
    match = _KEY.fullmatch(key)
    wanted = 'a public SSH key: "TYPE BASE64 COMMENT", as in a .pub file'
    if not match:
        raise ValueError(wanted + (", not a private key" if "PRIVATE KEY" in text else ""))
    try:
        data = base64.b64decode(match["data"], validate=True)
    except binascii.Error:
        raise ValueError(wanted) from None
    length = int.from_bytes(data[:4], "big")
    if data[4 : 4 + length] != match["type"].encode() or len(data) <= 4 + length:
        raise ValueError(f"{wanted}; its data are not of the type {match['type']!r}")
    return key


UserData = Annotated[str, Field(max_length=LIMIT), AfterValidator(_user_data)]
SSHKey = Annotated[str, Field(max_length=16384), AfterValidator(_ssh_key)]
Hostname = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?)*$")
]


class CloudInitSpec(Spec):
    """What cloud-init is told at the first boot. The other fields are added to `user_data`; neither replaces the other.

    Attributes:
        user_data: User data for cloud-init: cloud-config, a script or another format of cloud-init. The first line says which,
            such as "#cloud-config".
        vendor_data: The same for the provider of the image. Where both set the same thing, `user_data` wins.
        network_config: Network configuration in version 1 or 2, as YAML or JSON. Without it the guest uses the default of its
            image, usually DHCP.
        hostname: Host name of the guest. Default: the name of the VM.
        user: User to create, who may become root by sudo. Without it the image's own user is configured.
        ssh_keys: Public SSH keys that may log in as that user, each as in a .pub file.
        password: Name of the secret with that user's password (see `novacron.secrets`), never the password itself. Without it the
            user has no password.
        commands: Shell commands that are run as root at the end of the first boot.
        packages: Names of packages to install at the first boot.

    Example:
        >>> CloudInitSpec(user="ann", commands=["touch /done"]).commands
        ('touch /done',)
        >>> CloudInitSpec(user_data="packages: [nginx]")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        novacron.errors.InvalidSpecError: invalid CloudInitSpec: user_data: ...
    """

    user_data: UserData | None = None
    vendor_data: UserData | None = None
    network_config: str | None = Field(None, max_length=LIMIT)
    hostname: Hostname | None = None
    user: str | None = Field(None, pattern=r"^[a-z_][a-z0-9_-]{0,31}$")
    ssh_keys: tuple[SSHKey, ...] = ()
    password: SecretName | None = None
    commands: tuple[Annotated[str, Field(min_length=1, max_length=LIMIT)], ...] = ()
    packages: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+:_=~-]*$")], ...] = ()

    @model_validator(mode="after")
    def _can_be_added(self) -> Self:
        text = self.user_data or ""
        if text.startswith(("Content-Type:", "MIME-Version:")) and "multipart/" not in text.partition("\n\n")[0].lower():
            raise ValueError("user_data in MIME form as a multipart message")
        return self


__all__ = ["CloudInitSpec"]
