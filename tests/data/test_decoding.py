import contextlib
import io
import itertools
import struct
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image, ImageOps

from gatlabel.data import modes
from gatlabel.data.decoding import decode_image
from gatlabel.errors import InputError
from tests.data.sample_images import mosaic


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def colours(data: bytes) -> list[tuple[int, ...]]:
    """The pixels of the first row."""
    photo = decode_image(data)
    assert photo.dtype == torch.uint8
    assert photo.shape[0] == 3
    return [tuple(pixel) for pixel in photo[:, 0].T.tolist()]


def test_rgb_keeps_every_pixel_in_channel_height_width_order() -> None:
    pixels = mosaic(5, 7)
    photo = decode_image(encoded(Image.fromarray(pixels)))
    assert photo.shape == (3, 5, 7)
    np.testing.assert_array_equal(photo.numpy(), pixels.transpose(2, 0, 1))


def test_grey_and_one_bit() -> None:
    assert colours(encoded(Image.new("L", (1, 1), 77))) == [(77, 77, 77)]
    one_bit = Image.new("1", (2, 1))
    one_bit.putpixel((1, 0), 1)
    assert colours(encoded(one_bit)) == [(0, 0, 0), (255, 255, 255)]


def test_alpha_is_laid_on_white() -> None:
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (200, 0, 100, alpha))
    clear, half, full = colours(encoded(image))
    assert clear == (255, 255, 255)
    assert full == (200, 0, 100)
    blend = [255 + (colour - 255) * 128 / 255 for colour in (200, 0, 100)]
    assert np.abs(np.array(half) - blend).max() <= 1


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (10, 0))
    image.putpixel((1, 0), (10, 255))
    assert colours(encoded(image)) == [(255, 255, 255), (10, 10, 10)]


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 100, 150, 200])
    image.putpixel((1, 0), 1)
    assert colours(encoded(image)) == [(9, 8, 7), (100, 150, 200)]
    assert colours(encoded(image, transparency=0)) == [(255, 255, 255), (100, 150, 200)]
    assert colours(encoded(image, "GIF", transparency=1)) == [(9, 8, 7), (255, 255, 255)]


def test_transparent_colour_of_an_rgb_png() -> None:
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (40, 50, 60))
    shown = colours(encoded(image, transparency=(1, 2, 3)))
    assert shown == [(255, 255, 255), (40, 50, 60)]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_is_scaled_not_clipped(kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    shown = colours(encoded(Image.fromarray(values), kind))
    assert [pixel[0] for pixel in shown] == [0, 1, 128, 255]


def test_16_bit_of_a_portable_graymap() -> None:
    data = b"P5 2 1 65535\n" + np.array([65535, 257 * 60], dtype=">u2").tobytes()
    assert colours(data) == [(255,) * 3, (60,) * 3]


def test_floats_and_wide_integers() -> None:
    unit = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert [pixel[0] for pixel in colours(encoded(unit, "TIFF"))] == [0, 128, 255]
    bytes_like = Image.fromarray(np.array([[0.0, 99.0]], dtype=np.float32))
    assert [pixel[0] for pixel in colours(encoded(bytes_like, "TIFF"))] == [0, 99]
    for values in (np.array([[1e6]], dtype=np.int32), np.array([[np.nan]], dtype=np.float32)):
        with pytest.raises(InputError, match="the given bytes"):
            decode_image(encoded(Image.fromarray(values), "TIFF"))


def test_cmyk_tiff_and_inverted_cmyk_jpeg() -> None:
    inks = Image.new("CMYK", (16, 16), (255, 0, 255, 0))  # cyan and yellow: green
    assert colours(encoded(inks, "TIFF"))[0] == (0, 255, 0)
    data = encoded(inks, "JPEG", quality=95)
    assert b"Adobe" in data  # so the stored inks are inverted
    assert np.abs(np.array(colours(data)[5]) - (0, 255, 0)).max() <= 6


def test_every_exif_orientation_comes_out_upright() -> None:
    upright = mosaic(16, 24)
    # where the stored rows and columns lie in the upright photo (EXIF 2.32, tag 274), inverted
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    for orientation, pixels in stored.items():
        image = Image.fromarray(np.ascontiguousarray(pixels))
        exif = Image.Exif()
        exif[0x0112] = orientation
        shown = decode_image(encoded(image, exif=exif))
        np.testing.assert_array_equal(shown.numpy(), upright.transpose(2, 0, 1), f"{orientation}")


def test_orientation_survives_the_conversion_of_modes() -> None:
    image = Image.new("L", (2, 1))
    image.putpixel((0, 0), 90)
    exif = Image.Exif()
    exif[0x0112] = 3
    assert colours(encoded(image, exif=exif)) == [(0, 0, 0), (90, 90, 90)]


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colours(data)[0] == (255, 0, 0)


def test_a_jpeg_decoded_at_reduced_size_keeps_content_and_minimum_side() -> None:
    pixels = mosaic(400, 560)
    data = encoded(Image.fromarray(pixels), "JPEG", quality=95)
    small = decode_image(data, at_least=90)
    assert small.shape == (3, 100, 140)  # a quarter; an eighth would be 50 pixels high
    means = pixels.reshape(100, 4, 140, 4, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(small.numpy() - means).mean() < 2
    assert decode_image(data, at_least=300).shape == (3, 400, 560)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 90},
        {"subsampling": 0},
        {"subsampling": 1},
        {"progressive": True},
        {"keep_rgb": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("orientation", [1, 6, 99])
@pytest.mark.parametrize("at_least", [None, 45, 11])
@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_simplejpeg_and_pillow_decode_to_the_same_pixels(
    options: dict[str, int], orientation: int, at_least: int | None, kind: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (37, 50, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((123, 91))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as opened:
        if at_least is not None:
            opened.draft(None, (at_least, at_least))
        expected = np.array(ImageOps.exif_transpose(opened)).transpose(2, 0, 1)
    with patch("simplejpeg.decode_jpeg", wraps=simplejpeg.decode_jpeg) as spy:
        ours = decode_image(data, at_least=at_least)
    spy.assert_called_once()
    np.testing.assert_array_equal(ours.numpy(), expected)


def test_what_simplejpeg_cannot_decode_is_left_to_pillow() -> None:
    data = encoded(Image.new("RGB", (16, 8), (200, 0, 0)), "JPEG")
    with patch("simplejpeg.decode_jpeg", side_effect=ValueError("no")):
        assert decode_image(data).shape == (3, 8, 16)


@pytest.mark.parametrize("at_least", [None, 8])
def test_broken_files_are_named(tmp_path: Path, at_least: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for kind in ("JPEG", "PNG"):
        whole = encoded(Image.fromarray(noise), kind)
        broken = tmp_path / f"broken.{kind.lower()}"
        broken.write_bytes(whole[: len(whole) * 2 // 3])
        with pytest.raises(InputError, match=rf"broken\.{kind.lower()}") as caught:
            decode_image(broken, at_least=at_least)
        assert "\n" not in str(caught.value)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no image .*gone\.png"):
        decode_image(tmp_path / "gone.png")
    (tmp_path / "text.jpg").write_text("not a photo")
    with pytest.raises(InputError, match=r"text\.jpg: not an image in a known format"):
        decode_image(tmp_path / "text.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"empty\.jpg"):
        decode_image(tmp_path / "empty.jpg")
    with pytest.raises(InputError, match="upload 7"):
        decode_image(b"nothing", name="upload 7")


@pytest.mark.parametrize("value", [0, 9, 2**31, -1, "upside down", b"\xff" * 9, (6, 6), 6.5])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_invalid_orientation_is_ignored(value: object, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    content = exif.tobytes()
    if isinstance(value, int) and 0 <= value < 2**16:
        exif[0x0112] = value
        content = exif.tobytes()
    else:  # of another type, or of more values than one: as the file format allows
        other = Image.Exif()
        other[0x010E] = value if isinstance(value, (str, bytes)) else str(value)
        content = other.tobytes()
        for tag, orientation in ((b"\x01\x0e", b"\x01\x12"), (b"\x0e\x01", b"\x12\x01")):
            content = content.replace(tag, orientation)
    image = Image.fromarray(mosaic(16, 24))
    assert decode_image(encoded(image, kind, exif=content)).shape == (3, 16, 24)


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_tiff_that_lacks_strips_is_refused(compression: str, orientation: int) -> None:
    image = Image.fromarray(mosaic(16, 24))
    data = encoded(image, "TIFF", compression=compression, tiffinfo={274: orientation})
    assert decode_image(data).numel() == 3 * 16 * 24
    taller = data
    for number in ("<HHII", "<HHIHxx"):  # the height, of 32 or of 16 bits
        taller = taller.replace(
            struct.pack(number, 257, 4 if number[-1] == "I" else 3, 1, 16),
            struct.pack("<HHII", 257, 4, 1, 90),
        )
    assert taller != data
    with pytest.raises(InputError, match=r"for 24 x 16 pixels only|decoder error"):
        decode_image(taller)


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
def test_the_orientation_of_a_tiff_is_applied_once(compression: str) -> None:
    upright = mosaic(16, 24)
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1)))
    data = encoded(stored, "TIFF", tiffinfo={274: 6}, compression=compression)
    np.testing.assert_array_equal(decode_image(data).numpy(), upright.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"]
)
@pytest.mark.parametrize("size", [(300, 250), (70_000, 2), (1, 70_000)])
def test_large_images_are_converted_in_strips_to_the_same(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 4), dtype=np.uint8)
    base = Image.fromarray(noise)
    if mode == "PA":
        image = Image.new("PA", size)
    else:
        image = (base if mode in ("RGBA", "RGBa") else base.convert("RGB")).convert(mode)
    strips, modes._STRIP = modes._STRIP, 1 << 40
    try:
        whole = modes.image_to_pixels(image)
    finally:
        modes._STRIP = strips
    np.testing.assert_array_equal(modes.image_to_pixels(image), whole)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wide_values_are_scaled_in_strips_by_the_extremes_of_all(dtype: type) -> None:
    values = np.zeros((400, 300), dtype)
    values[-1, -1] = 255 if dtype is np.float32 else 65535  # the last strip alone tells the scale
    values[0, 0] = 1
    shown = decode_image(encoded(Image.fromarray(values), "TIFF"))
    assert shown[0, -1, -1] == 255
    assert shown[0, 0, 0] == (1 if dtype is np.float32 else 0)


def test_cielab() -> None:
    white = decode_image(encoded(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"))
    assert white.min() >= 253


@pytest.mark.parametrize("size", [(1, 1), (1, 70_000), (70_000, 1), (2, 3)])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_extreme_sizes(size: tuple[int, int], kind: str) -> None:
    data = encoded(Image.new("RGB", size, (9, 8, 7)), kind)
    photo = decode_image(data, at_least=448)
    assert photo.shape == (3, size[1], size[0])
    assert photo[:, -1, -1].tolist() == [9, 8, 7]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "MPO"])
def test_every_truncation_and_mutation_is_an_image_or_one_error(kind: str) -> None:
    whole = encoded(Image.fromarray(mosaic(24, 32)), kind)
    chance = np.random.default_rng(0)
    broken = [whole[: int(end)] for end in chance.integers(0, len(whole), 20)]
    for _ in range(60):
        data = bytearray(whole)
        for place in chance.integers(0, len(data), chance.integers(1, 6)):
            data[place] = chance.integers(256)
        broken.append(bytes(data))
    decoded = 0
    for data, at_least in itertools.product(broken, (None, 8)):
        with contextlib.suppress(InputError):
            photo = decode_image(data, at_least=at_least)
            assert (photo.dtype, photo.shape[0]) == (torch.uint8, 3)
            decoded += 1
    assert 0 < decoded < 2 * len(broken)
