"""Augmentation: random transforms from a decoded image of any size to a square uint8 image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from gatlabel.data.colours import ColourJitter
from gatlabel.data.crops import Multiscale, RandomMirror, RandomPart
from gatlabel.encoders.preprocessing import Preprocessing
from gatlabel.encoders.resizing import ImageTransform
from gatlabel.encoders.sizes import MEAN_COLOUR
from gatlabel.errors import InputError, unknown_choice


@dataclass(frozen=True)
class Augmentation:
    """Options of the random changes to a training image.

    Attributes:
        crop: ``"resized"``: a random crop; ``"multiscale"``: one of the crops of ML-GCN's training
            code (:class:`~gatlabel.data.crops.Multiscale`); ``"none"``: the whole image, resized
            as in evaluation.
        area: Smallest and largest share of the image's area in a ``"resized"`` crop.
        ratio: Smallest and largest aspect ratio of that crop.
        scales: Sides of ``"multiscale"`` crops, relative to those of the image.
        flip: Probability of a horizontal flip.
        rotate: Largest rotation in degrees, 0 to 180. Uncovered areas, here and below, get the mean
            colour.
        shift: Largest translation in each direction, relative to the side, 0 to 1.
        zoom: Largest factor of enlargement and reduction, 1 or more. Unlike a crop, it keeps most
            objects in the image, so that labels stay correct.
        shear: Largest shear in degrees, 0 to 60.
        jitter: Largest relative change of brightness, contrast and saturation, 0 to 1.
        hue: Largest shift of the hue, 0 to 0.5 of the colour circle.
        randaugment: Number of RandAugment operations (Cubuk et al., 2020).
        magnitude: Their strength, 0 to 30.
        cutout: Side of a square that is filled with the mean colour, relative to the image's side
            (Cutout; DeVries and Taylor, 2017); 0 for none.
        erase: Probability that a random rectangle is filled (random erasing; Zhong et al., 2020).
    """

    crop: Literal["resized", "multiscale", "none"] = "resized"
    area: tuple[float, float] = (0.4, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66, 0.5)
    flip: float = 0.5
    rotate: float = 0.0
    shift: float = 0.0
    zoom: float = 1.0
    shear: float = 0.0
    jitter: float = 0.0
    hue: float = 0.0
    randaugment: int = 0
    magnitude: int = 9
    cutout: float = 0.0
    erase: float = 0.0


#: Augmentations by name.
AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(crop="none", flip=0.0),
    "light": Augmentation(area=(0.6, 1.0)),
    "standard": Augmentation(area=(0.4, 1.0), jitter=0.2),
    "turned": Augmentation(crop="none", rotate=20.0, shift=0.15, zoom=4 / 3, shear=8.0, jitter=0.3),
    "strong": Augmentation(area=(0.3, 1.0), randaugment=2, cutout=0.4),
    "mlgcn": Augmentation(crop="multiscale"),  # Chen et al., CVPR 2019, section 4.2
    "asl": Augmentation(crop="none", flip=0.5, randaugment=2, cutout=0.5),  # Ridnik et al., 2021
}


def training_transform(
    size: int, augmentation: str | Augmentation = "standard", resize: str = "squash"
) -> ImageTransform:
    """Returns a transform that resizes and randomly augments images.

    Args:
        size: Side of the result in pixels.
        augmentation: A name in :data:`AUGMENTATIONS`, or options.
        resize: How whole images are resized if they are not cropped.

    Raises:
        InputError: If an option is unknown or out of range.
    """
    from torchvision.transforms import v2

    if isinstance(augmentation, str):
        if augmentation not in AUGMENTATIONS:
            raise unknown_choice("augmentation", augmentation, AUGMENTATIONS)
        augmentation = AUGMENTATIONS[augmentation]
    options = augmentation
    _check(options)
    whole = Preprocessing(size, resize)
    smallest = 1.0
    steps: list[Callable[[Tensor], Tensor]] = []
    if options.crop == "resized":
        smallest = options.area[0] ** 0.5
        steps.append(RandomPart(size, options.area, options.ratio, options.flip))
    elif options.crop == "multiscale":
        smallest = min(options.scales)
        steps.append(Multiscale(size, options.scales))
    else:
        steps += whole.transform().steps
    if options.flip and options.crop != "resized":
        steps.append(RandomMirror(options.flip))
    if options.rotate or options.shift or options.zoom > 1 or options.shear:
        steps.append(
            v2.RandomAffine(
                options.rotate,
                translate=(options.shift, options.shift),
                scale=(1 / options.zoom, options.zoom),
                shear=options.shear or None,
                interpolation=v2.InterpolationMode.BILINEAR,
                fill=list(MEAN_COLOUR),
            )
        )
    if options.jitter and not options.hue:
        steps.append(ColourJitter(options.jitter))
    elif options.hue:
        strength = options.jitter
        steps.append(v2.ColorJitter(strength, strength, strength, options.hue))
    if options.randaugment:
        fill = list(MEAN_COLOUR)
        steps.append(v2.RandAugment(options.randaugment, options.magnitude, fill=fill))
    if options.cutout:
        steps.append(Cutout(options.cutout))
    if options.erase:
        steps.append(v2.RandomErasing(options.erase, value=list(MEAN_COLOUR)))
    return ImageTransform(steps, size, round(size / smallest))


class Cutout(nn.Module):
    """Fills a square with the mean colour; its centre is anywhere in the image.

    Terrance DeVries and Graham Taylor, "Improved regularization of convolutional neural networks
    with Cutout", arXiv 1708.04552: the square may extend over the border.

    Args:
        share: Side of the square, as a share of the image's side.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, image: Tensor) -> Tensor:
        """Returns a copy of the image, uint8 ``(3, h, w)``, with the square filled."""
        _, height, width = image.shape
        half_h, half_w = (max(1, round(side * self.share / 2)) for side in (height, width))
        y = int(torch.randint(height, ()))
        x = int(torch.randint(width, ()))
        colour = torch.tensor(MEAN_COLOUR, dtype=image.dtype)[:, None, None]
        image = image.clone()
        image[:, max(0, y - half_h) : y + half_h, max(0, x - half_w) : x + half_w] = colour
        return image

    def extra_repr(self) -> str:
        """Shows the share."""
        return f"share={self.share}"


def _check(options: Augmentation) -> None:
    if options.crop not in ("resized", "multiscale", "none"):
        raise unknown_choice("crop", options.crop, ("resized", "multiscale", "none"))
    if not 0 < options.area[0] <= options.area[1] <= 1:
        raise InputError(f"crop area {options.area}: expected 0 < smallest <= largest <= 1")
    if not 0 < options.ratio[0] <= options.ratio[1]:
        raise InputError(f"crop ratio {options.ratio}: expected 0 < smallest <= largest")
    if not options.scales or not all(0 < scale <= 1 for scale in options.scales):
        raise InputError(f"crop scales {options.scales}: expected shares above 0, up to 1")
    bounds = {"flip": 1, "rotate": 180, "shift": 1, "shear": 60, "jitter": 1, "hue": 0.5}
    for name, most in {**bounds, "cutout": 1, "erase": 1}.items():
        if not 0 <= getattr(options, name) <= most:
            raise InputError(f"{name} {getattr(options, name)}: expected 0 to {most}")
    if not 1 <= options.zoom < float("inf"):
        raise InputError(f"zoom {options.zoom}: expected 1 or more")
    if options.randaugment < 0 or not 0 <= options.magnitude <= 30:
        raise InputError(
            f"randaugment {options.randaugment}, magnitude {options.magnitude}: expected a number "
            "of operations, and a strength of 0 to 30"
        )
