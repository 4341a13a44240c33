"""Downloads of published archives: verified, resumable, never left half unpacked."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from gatlabel.data.sole_writer import open_locked
from gatlabel.disk_faults import disk_fault
from gatlabel.errors import InputError, first_line

_CHUNK = 1 << 20
_TIMEOUT = 60.0  # seconds without any byte


@dataclass(frozen=True)
class Archive:
    """A published ``.tar`` or ``.zip`` file.

    Attributes:
        path: Path below the base URL.
        md5: Its published checksum.
        holds: A file or folder that exists once it has been unpacked.
    """

    path: str
    md5: str
    holds: str


def fetch_and_unpack(
    archives: Iterable[Archive], folder: str | os.PathLike[str], base_url: str
) -> None:
    """Ensures that archives are unpacked in a folder; downloads what is missing.

    An archive that is already in the folder is used, so it can be brought there by other means. One
    that was downloaded here is deleted after unpacking. Of several processes, one does the work and
    the others wait.

    Args:
        archives: The required archives.
        folder: Target folder; created if necessary.
        base_url: Address of the archives; HTTP, HTTPS or FTP.

    Raises:
        InputError: If the server cannot be reached or has no such file, the checksum is wrong
            or the archive is damaged; the message says what to do.
    """
    target = Path(folder)
    for archive in archives:
        if _is_complete(archive, target):
            continue
        try:
            with _alone_in(target):
                if not _is_complete(
                    archive, target
                ):  # another process may have unpacked it meanwhile
                    _fetch(archive, target, base_url)
        except OSError as error:
            raise InputError(
                f"cannot write {archive.path} to {target}: {error.strerror or error}"
            ) from error


def _is_complete(archive: Archive, target: Path) -> bool:
    return (target / archive.holds).exists() and not _unpacking(target, archive).exists()


def _unpacking(target: Path, archive: Archive) -> Path:
    """Returns the folder that exists until unpacking has succeeded."""
    return target / f".unpacking-{Path(archive.path).name}"


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".downloading"
    with open_locked(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink(missing_ok=True)


def _fetch(archive: Archive, target: Path, base_url: str) -> None:
    file = target / Path(archive.path).name
    if file.exists() and not file.is_file():
        raise InputError(f"{file} is in the way: it is not a regular file")
    brought = file.exists()
    if not brought:
        download(f"{base_url.rstrip('/')}/{archive.path}", file)
    if _md5(file) != archive.md5:
        if not brought:
            file.unlink()
        advice = "delete it" if brought else "it has been deleted"
        raise InputError(
            f"{file} is not what was published: its MD5 is not {archive.md5}; {advice}, try again"
        )
    _unpack(file, _unpacking(target, archive), target)
    if not (target / archive.holds).exists():
        raise InputError(f"{file} does not contain {archive.holds}")
    if not brought:
        file.unlink()


def download(url: str, file: Path) -> None:
    """Downloads one file; resumes an interrupted download if the server supports it.

    Args:
        url: The address.
        file: The target; it appears when complete. Until then, ``file.part`` grows.

    Raises:
        InputError: If the download fails.
    """
    part = file.with_name(file.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https", "ftp"):
        raise InputError(f"cannot download {url}: give an address of HTTP, HTTPS or FTP")
    headers = {"User-Agent": "gatlabel"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            continued = have > 0 and answer.status == 206
            if continued and not _starts_at(answer.headers.get("Content-Range"), have):
                part.unlink()
                raise ConnectionError("the server sent a part that was not requested")
            length = answer.headers.get("Content-Length")
            with part.open("ab" if continued else "wb") as out:
                start = out.tell()
                shutil.copyfileobj(answer, out, _CHUNK)
                got = out.tell() - start
        if length is not None and got != int(length):
            raise ConnectionError(f"the connection ended after {got} of {length} bytes")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # nothing left to send: complete, or another file
            part.unlink()
            download(url, file)
            return
        raise InputError(f"cannot download {url}: {error.code} {error.reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        if fault := disk_fault(error):
            raise InputError(
                f"cannot write {part}: {fault}; free disk space, then try again"
            ) from error
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"cannot download {url}: {reason}; try again to continue, or bring the file to {file} "
            "by other means"
        ) from error
    part.replace(file)


def _starts_at(content_range: str | None, start: int) -> bool:
    return content_range is None or content_range.startswith(f"bytes {start}-")


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack(file: Path, unpacking: Path, target: Path) -> None:
    shutil.rmtree(unpacking, ignore_errors=True)
    unpacking.mkdir()
    inside = unpacking / "content"
    try:
        _require_plain_members(file, target)
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as packed:
                packed.extractall(inside)
        else:
            with tarfile.open(file) as packed_tar:
                _unpack_tar(packed_tar, inside)
    except Exception as error:  # readers raise various errors for damaged archives
        shutil.rmtree(unpacking, ignore_errors=True)
        raise InputError(f"cannot unpack {file}: {first_line(error)}") from error
    _merge(inside, target)
    shutil.rmtree(unpacking)


def _require_plain_members(file: Path, target: Path) -> None:
    """Checks names and sizes of all members of an archive before unpacking.

    Raises:
        ValueError: If a name leads out of the folder, or the disk is too small.
    """
    total = 0
    for name, size in _members(file):
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or Path(name).drive:
            raise ValueError(f"{name!r} leads out of the folder it is unpacked in")
        total += size
    free = shutil.disk_usage(target).free
    if total > free:
        raise ValueError(f"it needs {total / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")


def _members(file: Path) -> Iterator[tuple[str, int]]:
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as packed:
            yield from ((each.filename, each.file_size) for each in packed.infolist())
    else:
        with tarfile.open(file) as packed_tar:
            yield from ((each.name, each.size) for each in packed_tar)


def _unpack_tar(packed: tarfile.TarFile, inside: Path) -> None:
    if hasattr(tarfile, "data_filter"):
        packed.extractall(inside, filter="data")
        return
    # Python before 3.11.4 has no filters: extract only plain files and folders below the target
    for member in packed:
        place = PurePosixPath(member.name)
        if not (member.isreg() or member.isdir()) or place.is_absolute() or ".." in place.parts:
            raise tarfile.TarError(
                f"{member.name!r} is not a plain file below the archive's own folder"
            )
        packed.extract(member, inside)


def _merge(source: Path, target: Path) -> None:
    """Moves a folder's content into another; subfolders missing there move as a whole."""
    for entry in source.iterdir():
        counterpart = target / entry.name
        if entry.is_dir() and counterpart.is_dir():
            _merge(entry, counterpart)
        else:
            entry.replace(counterpart)
