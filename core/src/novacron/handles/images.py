"""Operating system images of a host: pull them from a catalogue, a URL or a file into a storage pool, verify, list and remove them.

An image is a volume. A second, small volume `NAME.image.json` stores its origin. It is written last: a volume without it is not an
image, for example because its pull was interrupted.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from novacron.dispatch.dispatcher import GRACE
from novacron.errors import (
    AlreadyExistsError,
    ImageError,
    ImageNotFoundError,
    InvalidSpecError,
    InvalidStateError,
    SpecProblem,
    VolumeNotFoundError,
)
from novacron.images.catalogue import NAME, ImageSource, catalogue, find_source
from novacron.images.checksums import algorithm_of, check_file, check_signature, find_checksum
from novacron.images.download import fetch, fetch_text
from novacron.images.inspection import ImageFormat, inspect, unpacked
from novacron.jobs import Job
from novacron.records.images import Image
from novacron.records.volumes import Volume
from novacron.text import printable_line
from novacron.threads import in_thread
from novacron.urls import without_query

if TYPE_CHECKING:
    from novacron.handles.host import HostHandle

_Images: TypeAlias = list[Image]  # the collection has a method named list

NOTE = ".image.json"
"""The end of the name of the volume that says where an image came from."""

SMALLEST = 512
"""Bytes of the smallest volume, one sector."""

NOTE_LIMIT = 65536
"""Bytes that such a volume may have."""


class ImageCollection:
    """A host's images.

    Example:
        >>> import novacron, pathlib, tempfile
        >>> host = novacron.connect("sim://images")
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "tiny.img"
        >>> _ = file.write_bytes(bytes(510) + b"\\x55\\xaa")
        >>> host.images.pull(str(file)).name, [image.name for image in host.images.list()]
        ('tiny', ['tiny'])
    """

    def __init__(self, host: HostHandle) -> None:
        self._host = host

    def __repr__(self) -> str:
        return printable_line(f"<images of {self._host.name}>")

    def available(self, arch: str | None = None) -> Mapping[str, ImageSource]:
        """Return the catalogue by name: common distributions and the user's own entries.

        Args:
            arch: the architecture; None for the host's own.
        """
        return catalogue(arch or self._arch())

    def list(self, pool: str = "default") -> _Images:
        """Return the images in a storage pool, sorted by name. Raises StoragePoolNotFoundError."""
        volumes: dict[str, Volume] = {volume.name: volume for volume in self._host.invoke("volume_list", pool=pool)}
        named = [name.removesuffix(NOTE) for name in volumes if name.endswith(NOTE)]
        return [self._image(volumes[name]) for name in sorted(named) if name in volumes]

    def get(self, name: str, pool: str = "default") -> Image:
        """Return one image. Raises ImageNotFoundError."""
        try:
            volume: Volume = self._host.invoke("volume_get", pool=pool, volume=name)
            return self._image(volume)
        except VolumeNotFoundError:
            raise ImageNotFoundError(
                f"no image {name!r} in the storage pool {pool!r}",
                resource=name,
                host=self._host.name,
                hint="`novacron image pull` downloads one, `novacron image list` lists those of the pool",
            ) from None

    @overload
    def pull(
        self,
        reference: str,
        *,
        name: str | None = ...,
        pool: str = ...,
        checksum: str | None = ...,
        verify: bool = ...,
        replace: bool = ...,
        wait: Literal[True] = ...,
    ) -> Image: ...

    @overload
    def pull(
        self,
        reference: str,
        *,
        name: str | None = ...,
        pool: str = ...,
        checksum: str | None = ...,
        verify: bool = ...,
        replace: bool = ...,
        wait: Literal[False],
    ) -> Job[Image]: ...

    def pull(
        self,
        reference: str,
        *,
        name: str | None = None,
        pool: str = "default",
        checksum: str | None = None,
        verify: bool = True,
        replace: bool = False,
        wait: bool = True,
    ) -> Image | Job[Image]:
        """Download an image, verify it, and store it in a storage pool.

        The file is kept in this machine's cache, so that other hosts and interrupted downloads do not download it again.

        Args:
            reference: a name in the catalogue ("debian-13"), a URL (https, http, file), or a file on this machine; .xz, .gz and .bz2 are
                decompressed.
            name: name of the image; None for the name in the catalogue or of the file.
            checksum: the expected SHA-256 or SHA-512 in hexadecimal, instead of the distribution's checksum file.
            verify: require the checksum and signature of the catalogue.
            replace: replace an existing image or volume of this name if nothing uses it.
            wait: False returns a job at once; it reports progress and can be cancelled.

        Raises:
            ImageNotFoundError: the image is not in the catalogue or not on the server.
            ImageError: the download failed, the checksum or signature is wrong, or the file is not an image.
            AlreadyExistsError: a volume of that name exists and `replace` is False.
            InvalidStateError: a VM or volume uses the existing image.

        On failure: no volume is left in the pool. The downloaded part stays in the cache, and the next pull continues there.
        """
        source = find_source(reference, self._arch())
        if checksum is not None:
            algorithm_of(checksum)
            source = source.replace(checksum=checksum)
        wanted = name or source.name
        if not NAME.fullmatch(wanted) or wanted.endswith(NOTE):
            problem = SpecProblem("name", wanted, f"a name that matches {NAME.pattern} and does not end with {NOTE}")
            raise InvalidSpecError("invalid image name", problems=[problem], outcome="not_sent")
        job: Job[Image] = Job("image_pull", wanted)
        job.set_running_or_notify_cancel()
        try:
            in_thread(lambda: self._pull(source, wanted, pool, verify, replace, job), f"novacron-image-{wanted}", job)
            return job.result() if wait else job
        except KeyboardInterrupt:
            job.cancel()
            with suppress(TimeoutError):
                job.exception(GRACE)
            raise

    def ensure(self, reference: str, *, pool: str = "default") -> Image:
        """Return an image of the pool. Pull it first if it does not exist."""
        try:
            return self.get(find_source(reference, self._arch()).name, pool)
        except ImageNotFoundError:
            return self.pull(reference, pool=pool)

    def remove(self, name: str, pool: str = "default") -> None:
        """Delete an image.

        Raises:
            ImageNotFoundError: the pool has no such image.
            InvalidStateError: a VM uses it, or it is a disk's backing file.
        """
        self.get(name, pool)
        self._host.invoke("volume_delete", pool=pool, volume=name)
        self._delete_if_there(pool, name + NOTE)

    def prune(self, pool: str = "default") -> _Images:
        """Delete all images of a pool that no VM uses and that are no backing file; return them."""
        backing = {
            volume.backing
            for each in self._host.pools.list()
            if each.active
            for volume in self._host.invoke("volume_list", pool=each.name)
        }
        removed = []
        for image in self.list(pool):
            if image.path in backing:
                continue
            try:
                self.remove(image.name, pool)
            except (InvalidStateError, ImageNotFoundError):
                continue  # a VM uses it, or somebody else has removed it
            removed.append(image)
        return removed

    # ---- one pull

    def _pull(self, source: ImageSource, name: str, pool: str, verify: bool, replace: bool, job: Job[Any]) -> Image:
        self._make_room(name, pool, replace)
        expected, signed = _expected(source, verify, job)
        file = fetch(source.url, job)
        if expected:
            size = max(1, file.stat().st_size)

            def going(done: int) -> None:
                job.report("checking", done / size)
                job.raise_if_cancelled()

            check_file(file, expected, going)
        image = unpacked(file, job)
        kind = inspect(image)
        note = {
            "url": without_query(source.url),
            "checksum": expected,
            "signed": signed,
            "title": source.title,
            "user": source.user,
            "arch": source.arch,
            "pulled_at": time.time(),
        }
        return self._put(name, pool, image, kind, note, job)

    def _make_room(self, name: str, pool: str, replace: bool) -> None:
        """Raise AlreadyExistsError if the name is in use, or delete the existing volume if `replace` is true."""
        try:
            self._host.invoke("volume_get", pool=pool, volume=name)
        except VolumeNotFoundError:
            return
        if not replace:
            raise AlreadyExistsError(
                f"a volume {name!r} is already in the storage pool {pool!r}",
                resource=name,
                outcome="not_sent",
                hint="choose another name; replace=True (--replace) downloads it again, also after an interrupted pull",
            )
        self._host.invoke("volume_delete", pool=pool, volume=name)  # refused while a VM or a volume uses it
        self._delete_if_there(pool, name + NOTE)

    def _put(self, name: str, pool: str, file: Path, kind: ImageFormat, note: dict[str, Any], job: Job[Any]) -> Image:
        size = max(SMALLEST, file.stat().st_size)
        self._create(pool, name, size, "vmdk" if kind.format == "vmdk" else "raw")
        try:
            with file.open("rb") as content:
                volume = self._upload(pool, name, content, job)
            if volume.format == "qcow2" and volume.capacity_bytes != kind.virtual_bytes:
                raise ImageError(f"{name!r} has {volume.capacity_bytes} bytes in the pool, {kind.virtual_bytes} in the file")
            text = json.dumps(note).encode()
            self._delete_if_there(pool, name + NOTE)
            self._create(pool, name + NOTE, max(SMALLEST, len(text)), "raw")
            self._upload(pool, name + NOTE, io.BytesIO(text), job)
        except BaseException:
            self._delete_if_there(pool, name + NOTE)
            self._delete_if_there(pool, name)
            raise
        return self._image(volume)

    def _create(self, pool: str, name: str, size: int, format: str) -> None:
        from novacron.specs import VolumeSpec

        spec = VolumeSpec.parse({"name": name, "capacity": size, "format": format})
        self._host.invoke("volume_create", pool=pool, spec=spec)

    def _upload(self, pool: str, name: str, content: Any, job: Job[Any]) -> Volume:
        """Upload the image as part of the pull job: progress is reported there, and cancelling the pull cancels the upload."""
        inner: Job[Volume] = self._host.submit("volume_upload", pool=pool, volume=name, source=content)
        inner.listen(lambda progress: job.report(progress.message or "uploading", progress.fraction, **progress.details))
        job.on_cancel(inner.cancel)
        return inner.result()

    def _delete_if_there(self, pool: str, name: str) -> None:
        try:
            self._host.invoke("volume_delete", pool=pool, volume=name)
        except VolumeNotFoundError:
            pass

    def _image(self, volume: Volume) -> Image:
        """Return a volume as an image. Raises ImageNotFoundError if its origin is not stored."""
        content = io.BytesIO()
        try:
            known: Volume = self._host.invoke("volume_get", pool=volume.pool, volume=volume.name + NOTE)
            if known.capacity_bytes <= NOTE_LIMIT:
                self._host.invoke("volume_download", pool=volume.pool, volume=volume.name + NOTE, target=content)
            note = json.loads(content.getvalue().rstrip(b"\0") or b"null")
        except (VolumeNotFoundError, ValueError):
            note = None
        if not isinstance(note, dict):
            raise ImageNotFoundError(
                f"the volume {volume.name!r} is not an image",
                resource=volume.name,
                host=self._host.name,
                hint="its pull may have been interrupted: pull it again with replace=True (--replace)",
            )
        fields = {key: note[key] for key in ("url", "checksum", "signed", "title", "user", "arch", "pulled_at") if key in note}
        return Image(
            name=volume.name,
            host=volume.host,
            pool=volume.pool,
            path=volume.path,
            format=volume.format,
            capacity_bytes=volume.capacity_bytes,
            allocated_bytes=volume.allocated_bytes,
            **fields,
        )

    def _arch(self) -> str:
        return self._host.info().arch or "x86_64"


def _expected(source: ImageSource, verify: bool, job: Job[Any]) -> tuple[str | None, bool]:
    """Return the checksum that the file must have, and whether its signature was checked.

    Raises:
        ImageError: the distribution's checksum file does not name the image, or is not signed by its keys.
    """
    if source.checksum:
        return source.checksum.lower(), False
    if not verify or not source.checksums:
        return None, False
    job.report("looking up the checksum")
    text, signed = fetch_text(source.checksums), False
    keyring = Path(source.keyring) if source.keyring else None
    if source.signature and keyring is not None and keyring.is_file():
        signature = None if source.signature == "inline" else fetch_text(source.signature)
        text, signed = check_signature(text, signature, keyring), True
    file = without_query(source.url).removesuffix("?...").rpartition("/")[2]
    checksum = find_checksum(text.decode("utf-8", "replace"), file)
    if checksum is None:
        raise ImageError(
            f"{without_query(source.checksums)} has no SHA-256 or SHA-512 of {file}",
            hint="use checksum=..., or verify=False (--no-verify)",
        )
    return checksum, signed


__all__ = ["ImageCollection"]
