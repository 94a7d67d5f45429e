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
    """A volume of a storage pool: new (`capacity`), or backed by another (`backing`).

    Attributes:
        name: Name of the volume in its pool.
        capacity: Size that a guest sees, in bytes or text such as "20GiB". Without it the volume has the size of its backing
            file.
        format: Format of the volume. Default: "qcow2".
        backing: Backing file from which unchanged data is read: the name of a volume, or an absolute path. Without it the volume
            is blank.
        preallocate: Whether all space is allocated at once. Default: false, the volume grows with its data.
        encryption: Name of the secret that encrypts the volume by LUKS (see `novacron.secrets`). Without it the volume is not
            encrypted.
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
