import numpy as np

from gatlabel.data.scenes.silhouettes import (
    ASSETS,
    distractor_rasters,
    label_rasters,
    silhouette_names,
)
from gatlabel.data.scenes.statistics import published_statistics, silhouette_of


def test_every_label_of_the_presets_has_a_silhouette() -> None:
    for preset in ("voc", "coco"):
        for label in published_statistics(preset).names:
            assert silhouette_of(label) in silhouette_names()


def test_silhouettes_are_filled_within_a_rim() -> None:
    every = [raster for name in silhouette_names() for raster in label_rasters(name)]
    for levels in every + list(distractor_rasters()):
        assert [level.width for level in levels] == [256, 128, 64, 32, 16]
        pixels = np.asarray(levels[0])
        assert 0.05 < (pixels > 127).mean() < 0.9
        assert not pixels[:12].any()
        assert not pixels[:, -12:].any()
        # halving keeps what is covered
        assert abs(np.asarray(levels[-1]).mean() - pixels.mean()) < 2


def test_holes_are_cut_out() -> None:
    (donut,) = label_rasters("donut")
    pixels = np.asarray(donut[0])
    assert pixels[128, 128] == 0
    assert pixels[128, 60] == 255


def test_no_two_labels_share_a_silhouette() -> None:
    small = {
        (name, k): np.asarray(levels[2], dtype=float) / 255
        for name in silhouette_names()
        for k, levels in enumerate(label_rasters(name))
    }
    keys = list(small)
    flat = np.stack([small[key].ravel() for key in keys])
    inside = flat @ flat.T
    union = flat.sum(1)[:, None] + flat.sum(1)[None] - inside
    overlap = inside / union
    for a, first in enumerate(keys):
        for b in range(a + 1, len(keys)):
            if first[0] != keys[b][0]:
                assert overlap[a, b] < 0.93, (first, keys[b])


def test_the_licences_come_with_the_outlines() -> None:
    assert "CC BY 4.0" in (ASSETS / "LICENSE-font-awesome.txt").read_text("utf-8")
    assert "Apache License" in (ASSETS / "LICENSE-material-design-icons.txt").read_text("utf-8")
    assert (ASSETS / "silhouettes.json").stat().st_size < 300_000
