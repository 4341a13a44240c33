import pickle
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gatlabel.data.scenes import Role, SceneImages, contact_sheet, images, read_scenes, scene_config
from gatlabel.data.scenes.drawing import clear_shares, draw_scene
from gatlabel.data.scenes.layout import plan_scene
from gatlabel.errors import InputError


@pytest.fixture(scope="module")
def scenes() -> SceneImages:
    return SceneImages(scene_config("coco"), "train", 600, seed=3)


def test_images_are_bytes_in_colour(scenes: SceneImages) -> None:
    image = scenes.load(0)
    assert image.shape == (3, 96, 96)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    assert image.float().std() > 10
    assert SceneImages(scene_config(size=50), "val", 1).load(0).shape == (3, 50, 50)


def test_an_image_depends_on_seed_split_and_number_only(scenes: SceneImages) -> None:
    config = scenes.config
    few = SceneImages(config, "train", 20, seed=3)
    np.testing.assert_array_equal(few.targets, np.asarray(scenes.targets)[:20])
    np.testing.assert_array_equal(few.visible, scenes.visible[:20])
    backwards = {k: few.load(k) for k in reversed(range(20))}
    some = scenes.subset([17, 4])
    assert some.ids == ("train-000017", "train-000004")
    for k in range(20):
        assert torch.equal(backwards[k], scenes.load(k))
    assert torch.equal(some.load(1), scenes.load(4))
    assert torch.equal(some.subset([0]).load(0), scenes.load(17))
    assert not torch.equal(SceneImages(config, "train", 1, seed=4).load(0), scenes.load(0))
    for split in ("val", "test", "pretrain"):
        other = SceneImages(config, split, 200, seed=3)
        assert not torch.equal(other.load(0), scenes.load(0))
        assert (np.asarray(other.targets) != np.asarray(scenes.targets)[:200]).any()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of shapes of every image that is drawn."""
    found: list[int] = []

    def counted(config, names, shapes, rng):  # type: ignore[no-untyped-def]
        found.append(len(shapes))
        return draw_scene(config, names, shapes, rng)

    monkeypatch.setattr(images, "draw_scene", counted)
    return found


def test_an_image_is_drawn_once_whoever_asks_for_it(drawn: list[int]) -> None:
    source = SceneImages(scene_config("coco"), "train", 12, seed=3)
    first = [source.load(k) for k in range(12)]
    others = source.with_targets(np.asarray(source.targets)).subset([7, 2])
    assert torch.equal(others.load(0), first[7])
    first[2].zero_()  # a change of what was returned does not reach the image
    assert torch.equal(others.load(1), source.load(2))
    assert source.load(2).any()
    assert len(drawn) == 12


def test_images_beyond_the_memory_are_drawn_again(
    drawn: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "KEPT", 5 * 3 * 96 * 96)
    source = SceneImages(scene_config("coco"), "train", 8, seed=3)
    for _ in range(2):
        for k in range(8):
            source.load(k)
    assert len(drawn) == 8 + 3


def test_drawn_images_are_not_sent_to_other_processes(scenes: SceneImages) -> None:
    source = SceneImages(scenes.config, "train", 12, seed=3)
    before = len(pickle.dumps(source))
    for k in range(12):
        source.load(k)
    assert len(pickle.dumps(source)) == before
    assert torch.equal(pickle.loads(pickle.dumps(source)).load(4), scenes.load(4))


def _draw(pickled: bytes, index: int) -> np.ndarray:
    torch.set_num_threads(1)
    source: SceneImages = pickle.loads(pickled)
    return source.load(index).numpy()


def test_another_process_draws_the_same(scenes: SceneImages) -> None:
    with get_context("spawn").Pool(1) as pool:
        drawn = pool.apply(_draw, (pickle.dumps(scenes), 5))
    np.testing.assert_array_equal(drawn, scenes.load(5).numpy())


def test_the_hidden_share_is_as_configured(scenes: SceneImages) -> None:
    present = np.asarray(scenes.targets) > 0
    assert not (scenes.visible & ~present).any()
    share = 1 - scenes.visible.sum() / present.sum()
    assert share == pytest.approx(scenes.config.hidden, abs=0.05)
    everything = SceneImages(scene_config(hidden=0.0), "train", 50)
    np.testing.assert_array_equal(everything.visible, np.asarray(everything.targets) > 0)


def test_shapes_show_the_visible_labels_and_hide_the_hidden_ones(scenes: SceneImages) -> None:
    hiding = set()
    for k in range(120):
        shapes = scenes.shapes(k)
        clear = {shape.label for shape in shapes if shape.role is Role.VISIBLE}
        assert clear == set(np.flatnonzero(scenes.visible[k]))
        hidden = (np.asarray(scenes.targets)[k] > 0) & ~scenes.visible[k]
        concealed = [shape for shape in shapes if shape.hides_label]
        assert sorted(shape.label for shape in concealed) == np.flatnonzero(hidden).tolist()
        hiding |= {shape.role for shape in concealed}
    assert hiding == {Role.BLUR, Role.SPECK, Role.BEHIND}


def test_a_visible_label_can_be_seen(scenes: SceneImages) -> None:
    for k in range(150):
        shapes = scenes.shapes(k)
        shares = clear_shares(scenes.config, scenes.labels.names, shapes)
        best: dict[int, float] = {}
        for shape, share in zip(shapes, shares, strict=True):
            if shape.role is Role.VISIBLE:
                best[shape.label] = max(best.get(shape.label, 0), share)
                assert shape.side > 12
        assert all(share > 0.5 for share in best.values())


def test_decoys_and_hiding_shapes_have_the_same_distribution() -> None:
    """The number of patches, specks and blurs is independent of the number of hidden objects."""
    config = scene_config("coco")
    clutter = (Role.BLUR, Role.SPECK, Role.PATCH)
    for k in range(60):
        counts = []
        for hidden in ([], [3], [3, 9, 20, 40]):
            shapes = plan_scene(config, [1, 2], hidden, 73, np.random.default_rng(k))
            counts.append([sum(s.role is role for s in shapes) for role in clutter])
        assert counts[0] == counts[1] == counts[2]


def test_an_object_behind_a_patch_is_within_it() -> None:
    config = scene_config("coco")
    seen = 0
    for k in range(60):
        shapes = plan_scene(config, [1], [3, 9, 20, 40], 73, np.random.default_rng(k))
        patches = [shape for shape in shapes if shape.role is Role.PATCH]
        for shape in shapes:
            if shape.role is Role.BEHIND:
                seen += 1
                assert any(
                    (shape.x, shape.y) == (patch.x, patch.y) and shape.side < patch.side / 2
                    for patch in patches
                )
    assert seen > 20


def test_colour_does_not_give_a_label_away() -> None:
    """Fill colours of two labels drawn on the same ground have the same distribution."""
    config = scene_config("voc", hidden=0.0, clutter=0.0)
    scenes = SceneImages(config, "train", 400, seed=1)
    means = torch.stack([scenes.load(k).float().mean((1, 2)) for k in range(len(scenes))])
    for name in ("person", "car"):
        has = torch.from_numpy(np.asarray(scenes.targets)[:, scenes.labels.index(name)]) > 0
        gap = means[has].mean(0) - means[~has].mean(0)
        error = (means[has].var(0) / has.sum() + means[~has].var(0) / (~has).sum()).sqrt()
        assert (gap.abs() < 4 * error).all()


def test_splits_and_notes() -> None:
    splits = read_scenes("coco", train=6, val=3, test=2, seed=1, size=40, hidden=0.5)
    assert [len(source) for _, source in splits.items()] == [6, 3, 2]
    assert splits.name == "scenes (coco)"
    assert "size 40, hidden 0.5" in splits.notes[0]
    assert any("zebra" in note for note in splits.notes)
    assert splits.train.load(5).shape == (3, 40, 40)
    assert "6 images of 40 px, 73 labels" in repr(splits.train)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train": 0}, "train is 0 images"),
        ({"seed": -1}, "seed is -1"),
        ({"sise": 64}, "did you mean 'size'"),
        ({"preset": "vocc"}, "did you mean 'voc'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_scenes(**arguments)  # type: ignore[arg-type]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'train'"):
        SceneImages(scene_config(), "trian", 5)


def test_a_contact_sheet_has_every_image(tmp_path: Path, scenes: SceneImages) -> None:
    path = tmp_path / "sheets" / "scenes.png"
    contact_sheet(scenes, path, rows=2, columns=3, zoom=1)
    with Image.open(path) as sheet:
        assert sheet.size == (3 * 104, 2 * 152)
        corner = np.asarray(sheet.crop((4, 4, 100, 100)))
    np.testing.assert_array_equal(corner, scenes.load(0).permute(1, 2, 0).numpy())
    with pytest.raises(InputError, match="at least 1"):
        contact_sheet(scenes, path, rows=0)
