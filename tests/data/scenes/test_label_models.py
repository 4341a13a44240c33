import numpy as np
import pytest

from gatlabel.data.scenes import label_model, scene_config, true_graph
from gatlabel.data.scenes.fitting import shrunken_pairs
from gatlabel.data.scenes.label_models import fitted_model, label_frequencies
from gatlabel.data.scenes.statistics import published_statistics
from gatlabel.errors import InputError


@pytest.mark.parametrize(
    ("preset", "labels", "correlation"), [("voc", 20, 0.95), ("coco", 73, 0.95)]
)
def test_label_sets_follow_the_published_counts(
    preset: str, labels: int, correlation: float
) -> None:
    published = published_statistics(preset)
    model = label_model(scene_config(preset))
    assert model.names == published.names
    assert len(model.names) == labels
    y = model.sample(8192, (5,)).astype(float)
    frequencies = published.counts / published.images
    # four standard deviations of a frequency, and 10 % for the fit
    noise = np.sqrt(frequencies / len(y))
    assert (np.abs(y.mean(0) - frequencies) < 4 * noise + 0.1 * frequencies).all()
    upper = np.triu_indices(labels, 1)
    drawn = (y.T @ y / len(y))[upper]
    wanted = shrunken_pairs(published.counts, published.pairs, published.images)[upper]
    assert np.corrcoef(np.sqrt(drawn), np.sqrt(wanted))[0, 1] > correlation


def test_what_is_not_drawn_is_listed() -> None:
    assert published_statistics("voc").left_out == ()
    left_out = published_statistics("coco").left_out
    assert {"zebra", "toaster", "hair drier"} <= set(left_out)
    assert len(left_out) + 73 == 80


def test_the_true_graph_is_the_couplings() -> None:
    config = scene_config("coco")
    model = label_model(config)
    signed = true_graph(config, signed=True)
    assert signed.names == model.names
    np.testing.assert_allclose(signed.to_dense().numpy(), model.couplings, rtol=1e-6)
    attractions = true_graph(config).to_dense().numpy()
    np.testing.assert_allclose(attractions, np.maximum(model.couplings, 0), rtol=1e-6)
    fork, knife = model.names.index("fork"), model.names.index("knife")
    assert attractions[fork, knife] > 0.9
    degree = (attractions > 0).sum(1)
    assert 2 < degree.mean() < 10  # a graph, neither empty nor nearly complete


def test_strength_scales_the_couplings_and_keeps_the_frequencies() -> None:
    natural = np.array(list(label_frequencies("voc").values()))
    for strength in (0.0, 0.5, 1.5):
        model = label_model(scene_config("voc", strength=strength))
        np.testing.assert_allclose(model.couplings, strength * fitted_model("voc").couplings)
        drawn = model.sample(8192, (6,)).mean(0)
        assert (np.abs(drawn - natural) < 4 * np.sqrt(natural / 8192) + 0.1 * natural).all()


def test_the_tail_is_made_shorter_and_longer_at_the_same_number_of_labels() -> None:
    natural = label_frequencies("coco")
    flat = label_frequencies("coco", long_tail=0.0)
    steep = label_frequencies("coco", long_tail=1.6)
    for changed in (flat, steep):
        assert sum(changed.values()) == pytest.approx(sum(natural.values()), rel=1e-6)
    assert max(flat.values()) == pytest.approx(min(flat.values()))
    assert min(steep.values()) < min(natural.values())
    assert sorted(steep, key=steep.__getitem__) == sorted(natural, key=natural.__getitem__)


def test_fewer_labels_are_the_most_frequent_ones() -> None:
    config = scene_config("coco", labels=8)
    names = label_model(config).names
    assert "person" in names
    assert len(names) == 8
    every = label_frequencies("coco")
    assert min(every[name] for name in names) >= sorted(every.values())[-8]
    assert true_graph(config).names == names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden": 1.0}, "hidden is 1.0: give a number from 0.0 to 0.95"),
        ({"size": 8}, "size is 8"),
        ({"size": 96.5}, "size is 96.5: give a whole number"),
        ({"labels": 1}, "labels is 1"),
        ({"labels": 21}, "from 2 to 20"),
        ({"difficulty": float("nan")}, "difficulty is nan"),
        ({"strength": -1}, "strength is -1"),
        ({"long_tail": "much"}, "long_tail is 'much'"),
        ({"clutter": True}, "clutter is True"),
        ({"dificulty": 0.5}, "did you mean 'difficulty'"),
        ({"statistics": "vok"}, "did you mean 'voc'"),
    ],
)
def test_wrong_options_are_refused_in_one_line(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        scene_config("voc", **options)
    assert "\n" not in str(error.value)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'coco'"):
        scene_config("cocoa")
