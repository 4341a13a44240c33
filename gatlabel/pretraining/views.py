"""Random views of images, by lightly's transforms."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from gatlabel.batch import Batch
from gatlabel.data.loading import ImageLoader, SeededSampler
from gatlabel.data.source import ImageSource
from gatlabel.encoders import Preprocessing
from gatlabel.errors import InputError, require_extra

#: One item: the views of an image, and its position.
Views = tuple[list[Tensor], int]
#: Input names of the views in a batch.
VIEW = "view{}"


def make_transform(
    method: str,
    preprocessing: Preprocessing,
    smallest: float,
    colour: float,
    grey: float,
) -> Any:
    """Returns lightly's transform of a method: from a PIL image to a list of float views.

    Args:
        method: A key of :data:`~gatlabel.pretraining.methods.METHODS`.
        preprocessing: Size, mean and standard deviation of the encoder's images.
        smallest: Smallest share of an image's area in a crop. With several objects per image, two
            small views may share none and would still be trained to match; lightly's 0.08 suits
            images of one object.
        colour: Strength of the changes of colour; lightly's ``cj_strength``.
        grey: Probability that a view loses its colours.

    Raises:
        InputError: If the extra ``pretraining`` is missing.
    """
    require_extra("lightly", "pretraining")
    from lightly.transforms.dino_transform import DINOTransform
    from lightly.transforms.simclr_transform import SimCLRTransform
    from lightly.transforms.vicreg_transform import VICRegTransform

    size = preprocessing.size
    common: dict[str, Any] = {
        "cj_strength": colour,
        "random_gray_scale": grey,
        "normalize": {"mean": list(preprocessing.mean), "std": list(preprocessing.std)},
    }
    if method == "dino":
        return DINOTransform(
            global_crop_size=size,
            global_crop_scale=(max(0.5, smallest), 1.0),
            local_crop_size=max(32, size // 2),
            local_crop_scale=(smallest / 2, max(0.5, smallest)),
            n_local_views=2,
            **common,
        )
    kind = VICRegTransform if method == "vicreg" else SimCLRTransform
    # a blur kernel made for 224 pixels removes all detail from a small image
    return kind(
        input_size=size,
        min_scale=smallest,
        gaussian_blur=0.5 if size > 96 else 0.0,
        **common,
    )


class ViewDataset(Dataset[Views]):
    """Views of the images of a source, determined by their seed.

    Args:
        source: N images; their targets are not used.
        transform: From a PIL image to a list of views ``(3, S, S)``.

    Raises:
        InputError: If there are no images; on access, if one cannot be decoded.
    """

    def __init__(self, source: ImageSource, transform: Any) -> None:
        if not len(source):
            raise InputError("there are no images to learn from")
        self.source, self.transform = source, transform

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, item: int | tuple[int, int]) -> Views:
        """Returns the views of an image.

        Args:
            item: Its position, or ``(position, seed)`` as samplers give it; the default seed is 0.
        """
        index, seed = item if isinstance(item, tuple) else (item, 0)
        pixels = self.source.load(index)
        image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 - lightly draws from it
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                random.seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                return [view.float() for view in self.transform(image)], index
        finally:  # lightly's transforms draw from all three generators
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002

    @staticmethod
    def collate(items: Sequence[Views]) -> Batch:
        """Makes a batch with inputs ``view0``, ``view1``, … ``(B, 3, S, S)`` and no targets."""
        views = zip(*(views for views, _ in items), strict=True)
        inputs = {VIEW.format(k): default_collate(list(each)) for k, each in enumerate(views)}
        return Batch(inputs, {}, torch.tensor([index for _, index in items]))


def view_loader(dataset: ViewDataset, batch_size: int, *, seed: int, workers: int) -> ImageLoader:
    """Makes a loader of views, reshuffled in every epoch; an incomplete last batch is dropped.

    Args:
        dataset: The views.
        batch_size: Images per batch, at least 2.
        seed: Seed of order and views.
        workers: Number of processes that make views; 0 for none.

    Raises:
        InputError: If there are fewer images than two.
    """
    if len(dataset) < 2:
        raise InputError("views of different images are compared: give two or more images")
    return ImageLoader(
        dataset,
        batch_size=min(batch_size, len(dataset)),
        sampler=SeededSampler(len(dataset), seed),
        drop_last=True,
        num_workers=workers,
        collate_fn=ViewDataset.collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
