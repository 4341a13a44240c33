import contextlib
import gzip
import hashlib
import io
import os
import shutil
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gatlabel.data import coco_reader, read_coco, read_voc, voc_reader
from gatlabel.data.downloads import Archive, download, fetch_and_unpack
from gatlabel.errors import InputError
from tests.data.test_coco_reader import write_coco
from tests.data.test_voc_reader import SETS, write_voc

pytestmark = pytest.mark.network


class Server:
    """A fake download server: files by path, and a record of requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: int | None = None  # bytes after which the connection breaks
        self.ranges = True
        self.says_range: str | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                outer.asked.append((self.path, wanted))
                body = outer.files.get(self.path)
                if body is None:
                    self.send_error(404)
                    return
                start = int(wanted[6:-1]) if wanted and outer.ranges else 0
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                if start and outer.says_range:
                    self.send_header("Content-Range", outer.says_range)
                self.end_headers()
                self.wfile.write(body[start : outer.cut])

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    stand_in = Server()
    thread = threading.Thread(target=stand_in.http.serve_forever, args=(0.02,))
    thread.start()
    yield stand_in
    stand_in.http.shutdown()
    stand_in.http.server_close()
    thread.join()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def tar_of(folder: Path, pick: str = "*") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.match(pick):
                packed.add(path, path.relative_to(folder))
    return stream.getvalue()


def zip_of(folder: Path, top: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for path in sorted((folder / top).rglob("*")):
            packed.write(path, path.relative_to(folder))
    return stream.getvalue()


def test_voc_from_two_archives_that_share_folders(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = []
    for index, names in enumerate((("train", "val", "trainval"), ("test",))):
        made = tmp_path / f"made{index}"
        write_voc(made / "VOCdevkit" / "VOC2007", {name: SETS[name] for name in names})
        data = tar_of(made)
        server.files[f"/v/{index}.tar"] = data
        holds = f"VOCdevkit/VOC2007/ImageSets/Main/{names[-1]}.txt"
        archives.append(Archive(f"v/{index}.tar", md5(data), holds))
    monkeypatch.setitem(voc_reader.VOC_ARCHIVES, "2007", tuple(archives))
    root = tmp_path / "data"
    splits = read_voc(root, download=True, base_url=server.url)
    assert [len(source) for _, source in splits.items()] == [2, 1, 1]
    assert sorted(path.name for path in root.iterdir()) == ["VOCdevkit"]
    asked = len(server.asked)
    read_voc(root, download=True, base_url=server.url)
    assert len(server.asked) == asked  # what is there is not fetched again


def test_coco_from_three_archives(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco(tmp_path / "made")
    archives = []
    for top in ("annotations", "val2017", "train2017"):
        data = zip_of(tmp_path / "made", top)
        server.files[f"/{top}.zip"] = data
        archives.append(Archive(f"{top}.zip", md5(data), top))
    monkeypatch.setitem(coco_reader.COCO_ARCHIVES, "2017", tuple(archives))
    splits = read_coco(tmp_path / "data", download=True, base_url=server.url + "/")
    assert (len(splits.train), len(splits.val)) == (2, 1)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_continued(server: Server, tmp_path: Path, ranges: bool) -> None:
    body = bytes(range(256)) * 40
    server.files["/a.bin"] = body
    server.cut, server.ranges = 1000, ranges
    file = tmp_path / "a.bin"
    with pytest.raises(InputError, match="ended after 1000 of 10240 bytes; try again to continue"):
        download(f"{server.url}/a.bin", file)
    assert not file.exists()
    server.cut = None
    download(f"{server.url}/a.bin", file)
    assert file.read_bytes() == body
    assert server.asked[-1] == ("/a.bin", "bytes=1000-")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_a_complete_part_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = b"12345"
    (tmp_path / "a.bin.part").write_bytes(b"12345")
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"12345"


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/a.tar"] = b"a login page"
    archive = Archive("a.tar", "0" * 32, "inside")
    with pytest.raises(InputError, match=r"a\.tar is not what was published"):
        fetch_and_unpack([archive], tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []


def test_broken_archive_leaves_nothing_unpacked(server: Server, tmp_path: Path) -> None:
    for name in ("a.tar", "a.zip"):
        server.files[f"/{name}"] = b"no archive"
        archive = Archive(name, md5(b"no archive"), "inside")
        with pytest.raises(InputError, match=f"cannot unpack .*{name}"):
            fetch_and_unpack([archive], tmp_path, server.url)
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_an_archive_brought_by_other_means_is_used_and_kept(tmp_path: Path) -> None:
    made = tmp_path / "made"
    write_voc(made / "inside", SETS)
    data = tar_of(made)
    target = tmp_path / "data"
    target.mkdir()
    (target / "a.tar").write_bytes(data)
    (target / ".unpacking-a.tar").mkdir()  # an attempt that was killed
    archive = Archive("far/a.tar", md5(data), "inside/ImageSets")
    fetch_and_unpack([archive], target, "http://127.0.0.1:9")
    assert sorted(path.name for path in target.iterdir()) == ["a.tar", "inside"]
    with pytest.raises(InputError, match=r"a\.tar does not contain elsewhere"):
        fetch_and_unpack([Archive("a.tar", md5(data), "elsewhere")], target, "")


def zip_with(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return stream.getvalue()


def archive_in(folder: Path, name: str, data: bytes) -> Archive:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return Archive(name, md5(data), "inside")


@pytest.mark.parametrize(
    "name", ["../outside", "/tmp/outside", "inside/../../outside", "..\\outside"]
)
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    data = zip_with(**{"inside/a": b"1", name: b"2"})
    archive = archive_in(tmp_path / "data", "a.zip", data)
    with pytest.raises(InputError, match=r"cannot unpack .*a\.zip: .* leads out of the folder"):
        fetch_and_unpack([archive], tmp_path / "data", "")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["a.zip"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    made = tmp_path / "made"
    (made / "inside").mkdir(parents=True)
    (made / "inside" / "a").write_bytes(bytes(2_000_000))
    data = tar_of(made) if kind == "tar" else zip_with(**{"inside/a": bytes(2_000_000)})
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    archive = archive_in(tmp_path / "data", f"a.{kind}", data)
    with pytest.raises(InputError, match=r"it needs 0\.0 GB, and 0\.0 GB are free"):
        fetch_and_unpack([archive], tmp_path / "data", "")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [f"a.{kind}"]


@pytest.mark.parametrize("end", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_damaged_archive_is_one_error(tmp_path: Path, kind: str, end: float) -> None:
    made = tmp_path / "made"
    write_voc(made / "inside", SETS)
    data = tar_of(made)
    if kind == "zip":
        data = zip_with(**{f"inside/{k}": bytes(range(256)) * 20 for k in range(9)})
    elif kind == "tar.gz":
        data = gzip.compress(data)
    cut, place = int(end * len(data)), int(end * len(data) * 0.9)
    for broken in (data[:cut], data[:place] + b"\xff" * 40 + data[place + 40 :]):
        archive = archive_in(tmp_path / "data", f"a.{kind}", broken)
        with contextlib.suppress(InputError):  # where only padding is damaged it is unpacked
            fetch_and_unpack([archive], tmp_path / "data", "")
        assert not list((tmp_path / "data").glob(".*"))
        shutil.rmtree(tmp_path / "data")


def test_a_merge_that_fails_is_not_taken_as_whole(tmp_path: Path) -> None:
    data = zip_with(**{"inside/a": b"1", "inside/b": b"2"})
    archive = archive_in(tmp_path / "data", "a.zip", data)
    (tmp_path / "data" / "inside" / "b" / "c").mkdir(parents=True)  # a folder where a file belongs
    for _ in range(2):
        (tmp_path / "data" / "inside").rename(tmp_path / "aside")
        (tmp_path / "data" / ".unpacking-a.zip").mkdir(exist_ok=True)
        (tmp_path / "aside").rename(tmp_path / "data" / "inside")
        with pytest.raises(InputError, match=r"cannot write a\.zip to .*data: "):
            fetch_and_unpack([archive], tmp_path / "data", "")
    shutil.rmtree(tmp_path / "data" / "inside" / "b")
    fetch_and_unpack([archive], tmp_path / "data", "")
    assert (tmp_path / "data" / "inside" / "b").read_bytes() == b"2"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["a.zip", "inside"]


def test_the_rest_of_a_download_must_be_the_rest(server: Server, tmp_path: Path) -> None:
    server.files["/a.bin"] = b"0123456789"
    (tmp_path / "a.bin.part").write_bytes(b"012")
    server.says_range = "bytes 5-9/10"
    with pytest.raises(InputError, match="a part that was not requested; try again"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin")
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"0123456789"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,a", "/etc/passwd", "//host/a"])
def test_only_the_web_is_downloaded_from(url: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give an address of HTTP, HTTPS or FTP"):
        download(url, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "a.tar")
    with pytest.raises(InputError, match=r"a\.tar is in the way: it is not a regular file"):
        fetch_and_unpack([Archive("a.tar", "0" * 32, "inside")], tmp_path / "data", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write a\.tar to .*file: "):
        fetch_and_unpack([Archive("a.tar", "0" * 32, "inside")], tmp_path / "file", "")


def test_two_that_want_the_same_archive_download_it_once(server: Server, tmp_path: Path) -> None:
    data = zip_with(**{"inside/a": b"1"})
    server.files["/a.zip"] = data
    archive = Archive("a.zip", md5(data), "inside")
    with ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(fetch_and_unpack, [archive], tmp_path / "data", server.url)
            for _ in range(4)
        ]
        assert [each.result() for each in work] == [None] * 4
    assert len(server.asked) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["inside"]


@pytest.mark.parametrize("filters", [True, False])
def test_an_archive_cannot_write_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    if not filters:  # Python 3.11.0 to 3.11.3
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    link = tarfile.TarInfo("a/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    for bad in (tarfile.TarInfo("../outside"), link):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as packed:
            packed.addfile(bad, io.BytesIO())
        target = tmp_path / "data"
        target.mkdir(exist_ok=True)
        (target / "a.tar").write_bytes(stream.getvalue())
        archive = Archive("a.tar", md5(stream.getvalue()), "a")
        with pytest.raises(InputError, match=r"cannot unpack .*a\.tar"):
            fetch_and_unpack([archive], target, "")
        assert sorted(path.name for path in target.iterdir()) == ["a.tar"]
        assert not (tmp_path / "outside").exists()


def test_tar_files_unpack_without_filters_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)  # as in Python 3.11.0 to 3.11.3
    made = tmp_path / "made"
    write_voc(made / "inside", SETS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tar").write_bytes(tar_of(made))
    fetch_and_unpack([Archive("a.tar", md5(tar_of(made)), "inside")], tmp_path / "data", "")
    theirs = sorted(path.relative_to(made) for path in made.rglob("*"))
    ours = sorted(path.relative_to(tmp_path / "data") for path in (tmp_path / "data").rglob("*"))
    assert [path for path in ours if path.name != "a.tar"] == theirs


def test_offline_and_missing_errors_name_alternatives(server: Server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = r"cannot download http.*VOCtrainval.*refused; try again .* or bring the file to"
    with pytest.raises(InputError, match=message):
        read_voc(tmp_path, download=True, base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(InputError, match=r"cannot download .*b\.tar: 404"):
        download(f"{server.url}/b.tar", tmp_path / "b.tar")
    with pytest.raises(InputError, match=r"cannot download nonsense/b\.tar"):
        download("nonsense/b.tar", tmp_path / "b.tar")


def test_published_archives_are_named_completely() -> None:
    for archives in (*voc_reader.VOC_ARCHIVES.values(), *coco_reader.COCO_ARCHIVES.values()):
        for archive in archives:
            assert len(bytes.fromhex(archive.md5)) == 16
            assert Path(archive.path).suffix in (".tar", ".zip")
