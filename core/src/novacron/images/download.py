"""Fetches files over HTTP(S): an interrupted download continues, and only complete files get their name.

The standard library does it (`urllib.request`): it honours `http_proxy`, `https_proxy` and `no_proxy`, and verifies TLS certificates.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from novacron.errors import ImageError, ImageNotFoundError, NovaCronError
from novacron.images.inspection import UNPACKED_LIMIT
from novacron.jobs import Job
from novacron.state import make_private, open_private
from novacron.units import format_size
from novacron.urls import without_query

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

CHUNK = 1024 * 1024
STALL = 30.0
"""Seconds without a byte after which a download has failed."""

VALIDATOR_LIMIT = 1024
"""Length of an ETag or a date that is kept."""

TEXT_LIMIT = 4 * 1024 * 1024
"""Bytes that a checksum file or a signature may have."""


def cache_directory() -> Path:
    """Return the folder of downloaded images: `novacron/images` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "novacron" / "images"


def fetch_text(url: str) -> bytes:
    """Return a small file, such as a list of checksums.

    Raises:
        ImageNotFoundError, ImageError
    """
    with _opened(url, {}) as answer:
        text: bytes = answer.read(TEXT_LIMIT + 1)
    if len(text) > TEXT_LIMIT:
        raise ImageError(f"{without_query(url)} is larger than {TEXT_LIMIT} bytes: not a checksum file")
    return text


def fetch(url: str, job: Job[Any], *, folder: Path | None = None) -> Path:
    """Return a file of a URL in the cache, downloaded if it is not there or has changed on the server.

    A part of an earlier, interrupted download is continued when the server says that the file is still the same. Two processes that
    want the same file take turns. A `file:` URL is not copied.

    Args:
        url: https, http or file.
        job: gets the progress; when it is cancelled, what was downloaded stays for the next time.
        folder: the cache; `cache_directory()` when None.

    Raises:
        ImageNotFoundError: the server or the file system has no such file.
        ImageError: the download failed or stalled; calling again continues it.
        OperationCancelledError: the job was cancelled.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        path = Path(urllib.request.url2pathname(parts.path))
        if not path.is_file():
            raise ImageNotFoundError(f"no file {str(path)!r}", resource=str(path), outcome="not_sent")
        return path
    folder = folder or cache_directory()
    make_private(folder)
    path = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{parts.path.rpartition('/')[2][-100:] or 'image'}"
    with _alone(path, job):
        _update(url, path, job)
    return path


def _update(url: str, path: Path, job: Job[Any]) -> None:
    """Bring the cached file up to date."""
    part, note = path.with_name(path.name + ".part"), path.with_name(path.name + ".json")
    known = _read_note(note)
    if known.get("complete") and path.is_file() and known.get("validator"):
        with _opened(url, _conditional(known["validator"])) as answer:
            if answer.status == 304:
                return
            _receive(answer, part, note, 0, job)
    else:
        have = part.stat().st_size if part.exists() and known.get("validator") else 0
        headers = {"Range": f"bytes={have}-", "If-Range": known["validator"]} if have else {}
        with _opened(url, headers) as answer:
            _receive(answer, part, note, have if answer.status == 206 else 0, job)
    os.replace(part, path)
    _write_note(note, _read_note(note) | {"complete": True})


def _receive(answer: Any, part: Path, note: Path, have: int, job: Job[Any]) -> None:
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length and re.fullmatch(r"[0-9]{1,18}", length) else None
    validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    if validator and validator.startswith("W/"):
        validator = answer.headers.get("Last-Modified")  # a weak one does not promise the same bytes
    if validator and not (len(validator) <= VALIDATOR_LIMIT and validator.isascii() and validator.isprintable()):
        validator = None  # it could not be sent back
    _write_note(note, {"validator": validator, "complete": False})
    done = have
    try:
        with os.fdopen(open_private(part, os.O_RDWR | (0 if have else os.O_TRUNC)), "r+b") as file:
            file.seek(have)
            while piece := answer.read1(CHUNK):  # not `read`, which waits for a whole chunk and can't be cancelled meanwhile
                file.write(piece)
                done += len(piece)
                if done > UNPACKED_LIMIT:
                    part.unlink()
                    raise ImageError(f"{without_query(answer.url)} is larger than {format_size(UNPACKED_LIMIT)}: not an image")
                job.report("downloading", done / total if total else None, transferred_bytes=done, total_bytes=total)
                job.raise_if_cancelled()
    except (OSError, http.client.HTTPException) as error:
        raise _failed(answer.url, error) from error
    if total is not None and done != total:
        shown = without_query(answer.url)
        raise ImageError(f"the download of {shown} ended after {done} of {total} bytes", hint="call again to continue it")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http, where anybody on the way could replace the image."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in ("http", "https") or (scheme == "http" and req.type == "https"):
            fp.close()
            raise ImageError(
                f"the server sends {without_query(req.full_url)} on to an address of the scheme {scheme[:20]!r}",
                hint="only https is followed from https; give the final URL",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _opened(url: str, headers: dict[str, str]) -> Iterator[Any]:
    """Open a URL; a 304 (not modified) is an answer."""
    request = urllib.request.Request(url, headers={"User-Agent": "novacron", "Accept-Encoding": "identity"} | headers)  # noqa: S310 - checked
    shown = without_query(url)
    try:
        answer = urllib.request.build_opener(_SafeRedirects()).open(request, timeout=STALL)
    except urllib.error.HTTPError as error:
        if error.code == 304:
            with error:
                yield error
            return
        error.close()
        if error.code in (404, 410):
            raise ImageNotFoundError(
                f"the server has no {shown}", resource=shown, hint="check the URL or the catalogue"
            ) from None
        raise ImageError(f"the server answers {error.code} {error.reason} for {shown}", hint="try again later") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(url, error) from error
    with answer:
        yield answer


def _failed(url: str, error: Exception) -> NovaCronError:
    reason, url = getattr(error, "reason", None) or error, without_query(url)
    if isinstance(reason, FileNotFoundError):
        return ImageNotFoundError(f"there is no {url}", resource=url)
    if isinstance(reason, TimeoutError):
        reason = f"no answer for {STALL:g} s"
    return ImageError(
        f"can't download {url}: {reason}", hint="check the network and the proxy settings; calling again continues the download"
    )


def _conditional(validator: str) -> dict[str, str]:
    return {"If-None-Match": validator} if validator.startswith('"') else {"If-Modified-Since": validator}


def _read_note(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_note(note: Path, content: dict[str, Any]) -> None:
    fresh = note.with_name(note.name + ".new")
    with os.fdopen(open_private(fresh, os.O_WRONLY | os.O_TRUNC), "w") as file:
        file.write(json.dumps(content))
    os.replace(fresh, note)


@contextmanager
def _alone(path: Path, job: Job[Any]) -> Iterator[None]:
    """Hold a file's lock, so that two processes do not write the same part. The system releases it when a process ends.

    Windows has no such lock.
    """
    if fcntl is None:  # pragma: no cover - Windows
        yield
        return
    with os.fdopen(open_private(path.with_name(path.name + ".lock"), os.O_RDWR), "r+b") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                job.report("waiting for another download of the same file")
                job.wait_cancelled(0.2)
                job.raise_if_cancelled()
        yield


__all__ = ["cache_directory", "fetch", "fetch_text"]
