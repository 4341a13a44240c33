import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from gatlabel.data import (
    AUGMENTATIONS,
    Augmentation,
    training_transform,
)
from gatlabel.data.colours import ColourJitter
from gatlabel.data.crops import Multiscale, RandomMirror, RandomPart
from gatlabel.data.transforms import Cutout
from gatlabel.encoders import Preprocessing
from gatlabel.encoders.resizing import MEAN_COLOUR, FitInSquare, resize_part
from gatlabel.errors import InputError
from tests.data.sample_images import mosaic


def photo(height: int = 60, width: int = 90) -> torch.Tensor:
    return torch.from_numpy(mosaic(height, width)).permute(2, 0, 1)


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.parametrize("shape", [(60, 90), (91, 40), (7, 5), (1, 300), (48, 48)])
def test_every_shape_becomes_a_uint8_square(resize: str, shape: tuple[int, int]) -> None:
    result = Preprocessing(48, resize).transform()(photo(*shape))  # type: ignore[arg-type]
    assert result.shape == (3, 48, 48)
    assert result.dtype == torch.uint8


def test_squash_is_pillows_antialiased_resize_of_the_whole_image() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    ours = Preprocessing(32).transform()(torch.from_numpy(noise).permute(2, 0, 1))
    theirs = Image.fromarray(noise).resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.abs(ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(theirs))
    assert difference.max() <= 1


def decoded(height: int, width: int) -> torch.Tensor:
    """A smooth random photo, its colours side by side as decoders give them."""
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    pixels = (fine[0] * 255).clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 0).contiguous().permute(2, 0, 1)


@pytest.mark.parametrize(("height", "width"), [(375, 500), (96, 64), (40, 300)])
@pytest.mark.parametrize("size", [48, 224])
def test_a_part_is_what_torchvision_crops_and_resizes_in_float(
    height: int, width: int, size: int
) -> None:
    from torchvision.transforms.v2 import functional

    image = decoded(height, width)
    box = (height // 7, width // 5, height // 2, width // 2)
    ours = resize_part(image, box, (size, size))
    expected = functional.resized_crop(image.float(), *box, [size, size], antialias=True)
    assert ours.dtype == torch.uint8
    difference = (ours.float() - expected).abs()
    assert float(difference.mean()) < 0.5  # rounding alone is 0.25
    assert float(difference.max()) <= 1.5


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("box", [(0, 0, 40, 64), (3, 5, 20, 30)])
def test_torch_resizes_what_it_can_see_is_side_by_side(
    box: tuple[int, int, int, int], mirror: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # with another stride of the batch, though it is one photo, torch takes twice as long
    image, strides = decoded(40, 64), []
    interpolate = torch.nn.functional.interpolate

    def watched(batch: torch.Tensor, *rest: object, **options: object) -> torch.Tensor:
        strides.append(batch.stride())
        return interpolate(batch, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.nn.functional, "interpolate", watched)
    resize_part(image, box, (24, 24), mirror)
    _, _, height, width = box
    assert strides == [(3 * height * width, 1, 3 * width, 3)]


def test_random_parts_and_mirrors_are_drawn_as_torchvision_does() -> None:
    from torchvision.transforms import v2

    image = decoded(120, 160)
    theirs = v2.RandomResizedCrop(32, (0.1, 1.0), (3 / 4, 4 / 3), antialias=True)
    ours = RandomPart(32, (0.1, 1.0), (3 / 4, 4 / 3))
    for seed in range(20):
        torch.manual_seed(seed)
        expected = theirs(image.contiguous()).float()
        torch.manual_seed(seed)
        assert float((ours(image).float() - expected).abs().max()) <= 1
    torch.manual_seed(0)
    mirrored = sum(bool((RandomMirror(0.3)(image) != image).any()) for _ in range(300))
    assert 60 < mirrored < 120
    assert torch.equal(RandomMirror(1.0)(image), image.flip(-1))


@pytest.mark.parametrize("size", [24, 90])
def test_a_mirrored_part_is_the_mirror_image_of_the_part(size: int) -> None:
    image, box = decoded(120, 160), (3, 5, 72, 90)
    mirrored = resize_part(image, box, (size, size), mirror=True)
    difference = mirrored.int() - resize_part(image, box, (size, size)).flip(-1).int()
    assert int(difference.abs().max()) <= 1
    part = RandomPart(32, (0.1, 1.0), (3 / 4, 4 / 3), mirror=0.3)
    torch.manual_seed(0)
    count = 0
    for _ in range(300):
        red = part(photo(120, 160))[0].float().mean(0)  # grows from left to right
        count += bool(red[0] > red[-1])
    assert 60 < count < 120


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_jitter_does_at_once_what_torchvision_does_in_three_steps(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.transforms.v2 import functional

    changes = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
    )
    image = decoded(64, 96) // 2 + 60  # far from black and white: nothing is clipped on the way
    torch.manual_seed(3)
    factors = (1 + 0.3 * (2 * torch.rand(3) - 1)).tolist()
    expected = image.float() / 255
    for change in order:
        expected = changes[change](expected, factors[change])
    monkeypatch.setattr(torch, "randperm", lambda _: torch.tensor(order))
    torch.manual_seed(3)
    found = ColourJitter(0.3)(image)
    assert found.dtype == torch.uint8
    assert found.stride() == image.stride()  # colours side by side
    assert float((found.float() - 255 * expected).abs().max()) <= 0.51
    assert float((found.float() - image.float()).abs().mean()) > 1


def test_jitter_clips() -> None:
    white = torch.full((3, 8, 8), 250, dtype=torch.uint8)
    torch.manual_seed(0)
    results = [ColourJitter(1.0)(white) for _ in range(40)]
    assert max(int(result.max()) for result in results) == 255
    assert min(int(result.max()) for result in results) < 100


def test_a_part_of_the_right_size_is_not_touched() -> None:
    image = decoded(40, 64)
    assert torch.equal(resize_part(image, (3, 5, 24, 24), (24, 24)), image[:, 3:27, 5:29])


def test_pad_keeps_the_ratio_and_fills_with_the_mean_colour() -> None:
    result = Preprocessing(30, "pad").transform()(photo(60, 90))  # 20 x 30 in the middle
    mean = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None, None]
    assert (result[:, :5] == mean).all()
    assert (result[:, 25:] == mean).all()
    assert (result[2, 5:25] == 50).all()
    tall = FitInSquare(4, (1, 2, 3))(photo(4, 2))
    assert tall[:, 0, 0].tolist() == tall[:, 3, 3].tolist() == [1, 2, 3]
    assert (tall[:, :, 1:3] == photo(4, 2)).all()


def test_crop_cuts_the_ends_of_the_longer_side() -> None:
    whole, cut = (
        Preprocessing(30).transform()(photo()),
        Preprocessing(30, "crop").transform()(photo()),
    )
    red = [int(image[0].max()) - int(image[0].min()) for image in (whole, cut)]
    assert red[0] > 180  # red grows from left to right
    assert red[1] == pytest.approx(200 * 60 / 90, abs=8)
    assert int(cut[1].max()) > 190  # green from top to bottom: all of it is there


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_every_augmentation_keeps_type_and_size_and_can_be_sent_to_a_worker(name: str) -> None:
    transform = pickle.loads(pickle.dumps(training_transform(32, name)))
    results = [transform(photo()) for _ in range(12)]
    assert all(result.shape == (3, 32, 32) for result in results)
    assert all(result.dtype == torch.uint8 for result in results)
    varied = any((result != results[0]).any() for result in results)
    assert varied == (name != "none")
    assert transform.decode_side >= 32
    torch.manual_seed(7)
    first = transform(photo())
    torch.manual_seed(7)
    assert torch.equal(transform(photo()), first)


def test_no_augmentation_is_evaluation() -> None:
    for resize in ("squash", "pad", "crop"):
        train = training_transform(32, "none", resize)  # type: ignore[arg-type]
        evaluate = Preprocessing(32, resize).transform()  # type: ignore[arg-type]
        assert torch.equal(train(photo()), evaluate(photo()))


def test_flip_mirrors_left_and_right() -> None:
    image = photo(32, 32)
    flipped = training_transform(32, Augmentation(crop="none", flip=1.0))(image)
    assert torch.equal(flipped, image.flip(2))


def test_resized_crops_stay_in_the_requested_area() -> None:
    options = Augmentation(area=(0.25, 0.36), ratio=(1.0, 1.0), flip=0.0)
    transform = training_transform(64, options)
    assert transform.decode_side == 128  # a crop of a quarter of the area still has 64 pixels
    for _ in range(20):
        result = transform(photo(200, 200)).float()
        seen = (result[0].max() - result[0].min()) * (result[1].max() - result[1].min())
        assert 0.2 < seen / 200**2 < 0.4


def test_multiscale_crops_have_the_sizes_and_places_of_the_published_code() -> None:
    scales = (1.0, 0.875, 0.75, 0.66, 0.5)
    crops = Multiscale(448, scales)
    # sides of a 512 photo as in the training code: int(512 * scale), at most two steps apart
    sides = [int(512 * scale) for scale in scales]
    pairs = {(h, w) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= 2}
    ours = {(int(512 * h), int(512 * w)) for h, w in crops.pairs}
    assert ours == pairs
    assert len(crops.places) == len(set(crops.places)) == 13

    one = Multiscale(4, (0.5,))
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8).repeat(3, 1, 1)
    corners = {int(one(image)[0, 0, 0]) for _ in range(300)}
    assert corners == {8 * y + x for y in range(5) for x in range(5)} & {
        8 * y + x for y, x in [*((2 * a, 2 * b) for a in range(3) for b in range(3))]
    } | {8 * y + x for y in (1, 3) for x in (1, 3)}


def test_cutout_paints_a_square_of_the_mean_colour_and_nothing_else() -> None:
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    mean = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None, None]
    sizes = []
    for _ in range(30):
        painted = Cutout(0.5)(image) == mean
        assert torch.equal(painted[0], painted[1])
        rows, columns = painted[0].any(dim=1).sum(), painted[0].any(dim=0).sum()
        assert painted[0].sum() == rows * columns
        sizes.append(int(rows))
    assert (image == 0).all()
    assert max(sizes) == 20
    assert min(sizes) >= 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": "random"}, "unknown crop 'random'"),
        ({"area": (0.0, 1.0)}, "crop area"),
        ({"area": (0.9, 0.5)}, "crop area"),
        ({"ratio": (2.0, 1.0)}, "crop ratio"),
        ({"scales": ()}, "crop scales"),
        ({"scales": (1.5,)}, "crop scales"),
        ({"flip": 1.5}, "flip 1.5: expected 0 to 1"),
        ({"hue": 0.7}, "hue 0.7: expected 0 to 0.5"),
        ({"erase": -1.0}, "erase"),
        ({"magnitude": 31}, "magnitude 31"),
    ],
)
def test_wrong_options_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        training_transform(32, replace(Augmentation(), **change))  # type: ignore[arg-type]


def test_unknown_names_and_sizes() -> None:
    with pytest.raises(InputError, match="unknown augmentation 'stong'; did you mean 'strong'"):
        training_transform(32, "stong")
    with pytest.raises(InputError, match="unknown resize 'sqash'; did you mean 'squash'"):
        Preprocessing(32, "sqash")
    for make in (training_transform, Preprocessing):
        with pytest.raises(InputError, match="image_size=0"):
            make(0)


def test_repr_shows_the_steps() -> None:
    shown = repr(training_transform(32, "strong"))
    assert "RandomResizedCrop" in shown
    assert "share=0.4" in shown
    assert "(1.0, 0.875, 0.75, 0.66, 0.5)" in repr(training_transform(32, "mlgcn"))


WHOLE = Augmentation(area=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)


def drawn(options: Augmentation, count: int = 12) -> torch.Tensor:
    """White photos of 32 pixels, with a black square of 8 in the middle, as chance has them."""
    torch.manual_seed(0)
    change = training_transform(32, options)
    image = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    image[:, 12:20, 12:20] = 0
    return torch.stack([change(image) for _ in range(count)])


def test_rotation_fills_the_corners_with_the_mean_colour() -> None:
    results = drawn(replace(WHOLE, rotate=45.0))
    mean = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)
    assert (results[:, :, 16, 16] == 0).all()
    assert (results[:, :, 0, 0] == mean).all(1).sum() > 6


def test_shift_moves_and_zoom_scales() -> None:
    dark = (drawn(replace(WHOLE, shift=0.25)) < 50).all(1)
    columns = [torch.nonzero(one.any(0)).float().mean() for one in dark]
    assert max(columns) - min(columns) > 6
    assert all(abs(int(one.sum()) - 64) <= 1 for one in dark)
    areas = [int(one.sum()) for one in (drawn(replace(WHOLE, zoom=2.0)) < 50).all(1)]
    assert min(areas) < 40
    assert max(areas) > 120
    assert all(10 <= area <= 260 for area in areas)


@pytest.mark.parametrize("wrong", [{"rotate": 200}, {"shift": 2}, {"zoom": 0.5}, {"shear": -1}])
def test_options_out_of_range_are_named(wrong) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        training_transform(32, Augmentation(**wrong))


@pytest.mark.parametrize("size", [(1, 200_000), (200_000, 1), (3, 50_000), (1, 1)])
@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_very_long_images_are_brought_to_size_in_little_memory(
    resize: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = torch.full((3, *size), 77, dtype=torch.uint8)
    real, largest = torch.nn.functional.interpolate, []

    def interpolate(*args: object, **options: object) -> torch.Tensor:
        result = real(*args, **options)  # type: ignore[arg-type]
        largest.append(result.numel())
        return result

    monkeypatch.setattr(torch.nn.functional, "interpolate", interpolate)
    shown = Preprocessing(64, resize).transform()(image)  # type: ignore[arg-type]
    assert shown.shape == (3, 64, 64)
    assert (shown == 77).all(0).any()
    assert max(largest, default=0) <= 3 * 64 * 64 * 16
    for name in AUGMENTATIONS:
        assert training_transform(64, name, resize)(image).shape == (3, 64, 64)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(20, 320), (30, 40), (300, 100)])
def test_the_centre_crop_of_other_images_does_not_change(size: tuple[int, int]) -> None:
    image = torch.from_numpy(mosaic(*size)).permute(2, 0, 1)
    expected = v2.CenterCrop(24)(v2.Resize(24, antialias=True)(image))
    assert torch.equal(Preprocessing(24, "crop").transform()(image), expected)
