"""What is opened at all: known formats of a limited size, in regular files, in bounded memory."""

import io
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageFile

import gatlabel
from gatlabel.data import FileImages, decode_image
from gatlabel.data.image_files import FORMATS, MAX_PIXELS, open_image
from gatlabel.data.memory_budget import DECODING, MemoryBudget
from gatlabel.data.options import CSV
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.data.sample_images import mosaic, save_image

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(width: int, height: int, *more: bytes, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(pixels))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def tiff(width: int, height: int, tile: int) -> bytes:
    """A TIFF of one tile, whose data is too short."""
    rows = [(256, width), (257, height), (258, 8), (259, 8), (262, 1), (277, 1)]
    rows += [(322, tile), (323, tile), (324, 200), (325, 8)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in rows)
    head = b"II*\0" + struct.pack("<IH", 8, len(rows)) + entries + struct.pack("<I", 0)
    return head.ljust(200, b"\0") + zlib.compress(b"")


def huge(kind: str) -> bytes:
    """A file of less than 10 kB whose header declares 13,000 x 13,000 pixels."""
    if kind == "PNG":
        return png(13000, 13000)
    if kind == "TIFF":
        return tiff(13000, 13000, 64)
    if kind == "PPM":
        return b"P6 13000 13000 255\n"
    small = encoded(Image.new("RGB", (16, 16)), kind)
    if kind == "GIF":
        return small[:6] + struct.pack("<HH", 13000, 13000) + small[10:]
    if kind == "BMP":
        return small[:18] + struct.pack("<II", 13000, 13000) + small[26:]
    if kind == "WEBP":  # lossy: 14 bits each for width and height after the start code
        place = small.index(b"\x9d\x01\x2a") + 3
        return small[:place] + struct.pack("<HH", 13000, 13000) + small[place + 4 :]
    place = small.index(b"\xff\xc0") + 5
    return small[:place] + struct.pack(">HH", 13000, 13000) + small[place + 4 :]


def test_postscript_named_jpg_starts_no_program(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(POSTSCRIPT)
    with (
        patch("subprocess.Popen", side_effect=AssertionError("a program was started")),
        pytest.raises(InputError, match=r"photo\.jpg: not an image in a known format \(JPEG, "),
    ):
        decode_image(file)


@pytest.mark.parametrize("kind", ["EPS", "PCX", "TGA", "ICO", "SGI", "DDS", "MSP", "PDF"])
def test_unsupported_formats_are_refused(kind: str) -> None:
    image = Image.new("1" if kind == "MSP" else "RGB", (16, 16))
    with pytest.raises(InputError, match="not an image in a known format"):
        decode_image(encoded(image, kind))


@pytest.mark.parametrize("kind", [name for name in FORMATS if name != "AVIF"])
def test_known_formats_are_decoded(kind: str) -> None:
    photo = decode_image(encoded(Image.new("RGB", (20, 10), (255, 0, 0)), kind))
    assert photo.shape == (3, 10, 20)
    assert np.abs(photo[:, 4, 9].numpy().astype(int) - (255, 0, 0)).max() <= 3


def test_images_are_opened_in_one_place() -> None:
    package = Path(gatlabel.__file__).parent
    opens = re.compile(r"Image\.open\(|read_image\(.*torchvision|decode_jpeg\(")
    files = {path.name for path in package.rglob("*.py") if opens.search(path.read_text("utf-8"))}
    assert files == {"image_files.py", "decoding.py"}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "GIF", "BMP", "WEBP", "JPEG"])
@pytest.mark.parametrize("at_least", [None, 8])
def test_the_limit_on_pixels_is_checked_before_decoding(kind: str, at_least: int | None) -> None:
    never = AssertionError("decoded")
    with (
        patch.object(ImageFile.ImageFile, "load", side_effect=never),
        patch("simplejpeg.decode_jpeg", side_effect=never),
        pytest.raises(InputError, match=r"upload: .*more than 128,000,000 pixels; max-pixels"),
    ):
        decode_image(huge(kind), at_least=at_least, name="upload")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_limit_is_an_option(kind: str, tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (20, 10)), kind)
    assert decode_image(data, max_pixels=200).shape == (3, 10, 20)
    with pytest.raises(InputError, match="20 x 10 is more than 199 pixels"):
        decode_image(data, max_pixels=199)
    (tmp_path / "a").write_bytes(data)
    source = FileImages(tmp_path, LabelSet(["x"]), ["a"], np.ones((1, 1), np.float32), 199)
    for limited in (source, source.subset([0]), source.with_targets(source.targets)):
        for load in (lambda s: s.load(0), lambda s: s.load_at_least(0, 2)):
            with pytest.raises(InputError, match="199 pixels"):
                load(limited)
    assert source.with_max_pixels(200).load(0).shape == (3, 10, 20)
    assert CSV(root=tmp_path).max_pixels == MAX_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "WEBP"])
def test_a_limit_above_that_of_pillow(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with open_image(io.BytesIO(huge(kind)), 200_000_000) as image:
        assert image.size == (13000, 13000)


def test_a_tile_counts_as_it_is_decoded_whole() -> None:
    with pytest.raises(InputError, match="a tile of it has more than 128,000,000 pixels"):
        decode_image(tiff(16, 16, 50_000))


def test_simplejpeg_decodes_no_other_size_than_was_checked() -> None:
    data = encoded(Image.new("RGB", (32, 16)), "JPEG")
    header = simplejpeg.decode_jpeg_header(data)
    with (
        patch("simplejpeg.decode_jpeg_header", return_value=(60_000, 60_000, *header[2:])),
        patch("simplejpeg.decode_jpeg", side_effect=AssertionError("decoded")),
    ):
        assert decode_image(data).shape == (3, 16, 32)  # by Pillow, at the size it has checked


def test_a_jpeg_of_many_scans_is_refused() -> None:
    data = encoded(Image.fromarray(mosaic(64, 64)), "JPEG", progressive=True)
    assert decode_image(data).shape == (3, 64, 64)
    last = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match=r"its \d+ scans are too many"):
        decode_image(data[:-2] + 600 * last + data[-2:])


def test_a_text_image_of_many_comments_is_refused() -> None:
    assert decode_image(b"P3 1 1 255\n# a comment\n9 8 7\n")[:, 0, 0].tolist() == [9, 8, 7]
    with pytest.raises(InputError, match="its comments are too many"):
        decode_image(b"P3 1 1 255\n" + 3_000_000 * b"#\n" + b"9 8 7\n")


def test_a_file_too_large_for_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.write(png(2, 2))
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=r"sparse\.png: its 1,099,511,627,776 bytes are too many"):
        decode_image(tmp_path / "sparse.png")


def test_a_large_file_is_read_in_its_turn(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2400, 2400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.bmp")
    assert (tmp_path / "a.bmp").stat().st_size > 1 << 24
    np.testing.assert_array_equal(decode_image(tmp_path / "a.bmp"), pixels.transpose(2, 0, 1))
    assert DECODING.taken == 0


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(100_000_000))),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000))),
    ],
    ids=["zTXt", "iTXt", "iCCP"],
)
def test_compressed_text_that_would_fill_the_memory_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match="too large"):
        decode_image(png(2, 2, text, pixels=bytes(14)))


def test_pixels_beyond_the_size_in_the_header_are_not_unpacked() -> None:
    assert decode_image(png(2, 2, pixels=bytes(50_000_000))).shape == (3, 2, 2)


def place(folder: Path, kind: str) -> Path:
    """Makes something that is not a readable image file."""
    path = folder / f"{kind}.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.path.relpath(path))  # the names of sockets are short
    elif kind == "NUL":
        return folder / "a\0b.png"
    elif kind == "long":
        return folder / (300 * "a" + ".png")
    return path


REASONS = {
    "pipe": "it is a pipe, not a file",
    "folder": "it is a folder, not a file",
    "device": "it is a device, not a file",
    "socket": "it is a socket, not a file",
    "loop": "Too many levels of symbolic links",
    "NUL": r"a\\x00b.png: invalid file name",
    "long": "File name too long",
    "missing": r"there is no image .*missing\.png$",
}


@pytest.mark.parametrize("kind", REASONS)
def test_irregular_files_are_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = place(tmp_path, kind)
    source = FileImages(tmp_path, LabelSet(["x"]), [path.name], np.ones((1, 1), np.float32))
    for read in (lambda: decode_image(path), lambda: decode_image(str(path))):
        with pytest.raises(InputError, match=REASONS[kind]) as caught:
            read()
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot read the image"):
        source.fingerprint()


def test_a_file_that_becomes_a_pipe_after_the_check(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    regular = (tmp_path / "a.png").stat()
    os.mkfifo(tmp_path / "b.png")
    with (
        patch("os.stat", return_value=regular),
        pytest.raises(InputError, match="it is a pipe"),
    ):
        decode_image(tmp_path / "b.png")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(InputError, match=r"a\.png: Permission denied$"):
        decode_image(tmp_path / "a.png")


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    save_image(tmp_path / name)
    source = FileImages(tmp_path, LabelSet(["x"]), [name], np.ones((1, 1), np.float32))
    assert source.load(0).shape == (3, 24, 32)
    assert source.fingerprint()
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"caf\\udce9\.png") as caught:
        source.load(0)
    str(caught.value).encode()


@pytest.mark.parametrize("address", ["https://example.org/a.jpg", "s3://bucket/a.png", "data:,a"])
def test_an_address_is_not_downloaded(address: str, tmp_path: Path) -> None:
    for path in (address, tmp_path / address):
        with pytest.raises(InputError, match="images are not downloaded"):
            decode_image(path)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_damaged_tiff_prints_nothing(compression: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(Image.fromarray(mosaic(64, 64)), "TIFF", compression=compression)
    with pytest.raises(InputError):
        decode_image(data[:20] + bytes(40) + data[60:])
    assert capfd.readouterr() == ("", "")


def test_damaged_extras_neither_fail_nor_print(tmp_path: Path) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x09\0" + 60 * b"\x0f\x01\x02\0\xff\xff\xff\x7f\0\0"
    image = Image.fromarray(mosaic(16, 16))
    image.save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.png").write_bytes(png(2, 2, chunk(b"eXIf", exif[6:]), pixels=bytes(14)))
    (tmp_path / "c.png").write_bytes(png(2, 2, chunk(b"acTL", bytes(8)), pixels=bytes(14)))
    image.save(tmp_path / "d.tiff")
    data = (tmp_path / "d.tiff").read_bytes()
    (tmp_path / "d.tiff").write_bytes(data.replace(b"\x1c\x01\x03\0", b"\x0f\x01\x02\0"))
    Image.new("L", (9500, 9500)).save(tmp_path / "e.png")  # Pillow warns above 89 million pixels
    code = (
        "import sys; from gatlabel.data import decode_image\n"
        "for name in sys.argv[1:]: print(tuple(decode_image(name).shape))"
    )
    names = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines()[-1] == "(3, 9500, 9500)"


class Watched:
    """Counts how many threads are inside at a time."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.002)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


@pytest.mark.parametrize(("amount", "most"), [(4, 2), (10, 1), (99, 1)])
def test_threads_share_a_budget(amount: int, most: int) -> None:
    budget, watched = MemoryBudget(10), Watched()

    def work(_: int) -> None:
        with budget.scope():
            budget.take(amount)
            with watched, budget.scope():
                budget.take(1)  # who has something does not wait

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert 1 <= watched.most <= most
    assert budget.taken == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_threads_decode_within_the_budget(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("RGB", (40, 30)), kind)
    watched, name = Watched(), "image_to_pixels" if kind == "PNG" else "_decode_jpeg"
    real = getattr(gatlabel.data.decoding, name)

    def decode(*args: object) -> object:
        with watched:
            return real(*args)

    monkeypatch.setattr(gatlabel.data.decoding, name, decode)
    monkeypatch.setattr(DECODING, "most", 2 * 12 * 40 * 30)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: decode_image(data), range(24)))
    assert 1 <= watched.most <= 2
    assert DECODING.taken == 0


def test_a_failure_gives_its_memory_back() -> None:
    with pytest.raises(InputError):
        decode_image(encoded(Image.fromarray(mosaic(64, 64)), "PNG")[:-300])
    assert DECODING.taken == 0


@pytest.mark.slow
def test_ten_threads_decode_huge_images_in_little_memory(tmp_path: Path) -> None:
    Image.new("RGB", (10_000, 10_000)).save(tmp_path / "a.png")
    code = (
        "import resource, sys\n"
        "from gatlabel.data import decode_image\n"
        "from gatlabel.data.cache import decoded_in_order\n"
        "for _ in decoded_in_order(lambda k: decode_image(sys.argv[1]), 10, 224, 10): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_500_000  # kB; ten images at once are 3,000,000
