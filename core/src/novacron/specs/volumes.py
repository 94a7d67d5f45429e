"""Volumes as asked for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from novacron.specs.spec import Name, Spec, VolumeSize

DiskFormat = Literal["qcow2", "raw", "vmdk", "vdi"]

ENCRYPTED = ("qcow2", "raw")
"""The formats that can be encrypted."""

SecretName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,127}$")]
"""The name of a secret, never its value."""


class VolumeSpec(Spec):
    """A volume: new (`capacity`), or backed by another (`backing`, a volume's name or an absolute path).

    `encryption` is the name of the secret that it is encrypted with, by LUKS (see `novacron.secrets`).
    """

    name: Name
    capacity: VolumeSize | None = None
    format: DiskFormat = "qcow2"
    backing: str | None = None
    preallocate: bool = False
    encryption: SecretName | None = None

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.encryption and self.format not in ENCRYPTED:
            raise ValueError(f"encryption only of the formats {' and '.join(ENCRYPTED)}")
        if self.encryption and self.backing:
            raise ValueError("either encryption or backing")
        if not self.capacity and not self.backing:
            raise ValueError("capacity above 0, or backing")
        return self


__all__ = ["ENCRYPTED", "DiskFormat", "SecretName", "VolumeSpec"]
