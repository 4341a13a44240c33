import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
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
    """A stand-in for the publishers: files by path, and what was asked of it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: int | None = None  # bytes after which the connection breaks
        self.ranges = True
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


def test_a_complete_part_is_fetched_anew(server: Server, tmp_path: Path) -> None:
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
    with pytest.raises(InputError, match=r"a\.tar does not hold elsewhere"):
        fetch_and_unpack([Archive("a.tar", md5(data), "elsewhere")], target, "")


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


def test_offline_and_missing_say_what_to_do(server: Server, tmp_path: Path) -> None:
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
