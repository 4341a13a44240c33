"""A new run from the model of another: longer, or with other labels kept by name."""

import copy
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.engine.supervised import Supervised
from gatlabel.errors import InputError, Interrupted
from gatlabel.graph import Cooccurrence
from gatlabel.model import MultiLabelClassifier
from gatlabel.training import TrainConfig, plain, resume, train
from gatlabel.training.initialising import require_model, start_from
from gatlabel.training.out_of_fold import OutOfFold
from tests.colours import write_colours

NAMES = ["a", "b", "c", "d"]
OTHER = ["d", "x", "b", "y", "z"]
ENCODER = "shufflenet_v2_x0_5"


def graph_of(names: list[str]):
    generator = torch.Generator().manual_seed(len(names))
    targets = (torch.rand(40, len(names), generator=generator) < 0.5).float()
    return Cooccurrence.from_targets(targets, names).graph("complete")


def model_of(head: str, names: list[str], seed: int = 0, **options) -> MultiLabelClassifier:
    torch.manual_seed(seed)
    if head in ("gat", "gatv2", "conditioned", "query"):
        options = {"hidden": 8, "heads": 2, **options}
    model = MultiLabelClassifier.create(
        ENCODER, head, graph=graph_of(names), image_size=32, head_options=options
    )
    with torch.no_grad():  # as if it had been trained
        for parameter in model.head.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("head", ["linear", "gat", "gatv2", "gcn", "pyg", "csra", "query"])
def test_the_same_labels_and_head_start_with_the_same_logits(head: str, tmp_path: Path) -> None:
    source, model = model_of(head, NAMES), model_of(head, NAMES, seed=1)
    source.save_pretrained(tmp_path)
    assert "encoder and head" in start_from(model, tmp_path)[0]
    with torch.no_grad():
        torch.testing.assert_close(model(IMAGES), source(IMAGES))


@pytest.mark.parametrize("head", ["linear", "gat", "gatv2", "gcn", "pyg"])
@pytest.mark.parametrize("new", ["linear", "gat"])
def test_shared_labels_keep_their_logits_by_name(head: str, new: str, tmp_path: Path) -> None:
    source = model_of(head, NAMES)
    source.save_pretrained(tmp_path)
    torch.manual_seed(1)
    model = MultiLabelClassifier.create(
        ENCODER, new, graph=graph_of(OTHER), image_size=32, weights=None
    ).eval()
    with torch.no_grad():
        model.encoder.load_state_dict(source.encoder.state_dict())
        unlike = model(IMAGES)
        lines = start_from(model, tmp_path)
        ours, theirs = model(IMAGES), source(IMAGES)
    assert "the classifiers of 2 of its 4 labels; new labels: 3" in lines[0]
    for name in ("b", "d"):
        mine = ours[:, OTHER.index(name)]
        torch.testing.assert_close(mine, theirs[:, NAMES.index(name)], atol=1e-4, rtol=1e-4)
    for name in ("x", "y", "z"):
        torch.testing.assert_close(ours[:, OTHER.index(name)], unlike[:, OTHER.index(name)])


@pytest.mark.parametrize("head", ["csra", "query"])
def test_heads_on_maps_keep_shared_rows(head: str, tmp_path: Path) -> None:
    source = model_of(head, NAMES)
    source.save_pretrained(tmp_path)
    model = model_of(head, OTHER, seed=1)
    assert "2 of its 4" in start_from(model, tmp_path)[0]
    with torch.no_grad():
        ours, theirs = model(IMAGES), source(IMAGES)
    for name in ("b", "d"):
        torch.testing.assert_close(ours[:, OTHER.index(name)], theirs[:, NAMES.index(name)])


def test_label_axes_are_where_shapes_change_with_the_number_of_labels() -> None:
    from gatlabel.nn.heads.transfer import LABEL_AXES

    for kind, axes in LABEL_AXES.items():
        one = dict(model_of(kind, NAMES).head.named_parameters())
        other = dict(model_of(kind, OTHER).head.named_parameters())
        found = {}
        for name, parameter in one.items():
            pairs = zip(parameter.shape, other[name].shape, strict=True)
            changed = [axis for axis, (m, n) in enumerate(pairs) if m != n]
            if changed:
                found[name] = changed[0]
        assert found == axes


def test_heads_without_a_common_form_take_the_encoder_only(tmp_path: Path) -> None:
    source = model_of("query", NAMES)
    source.save_pretrained(tmp_path)
    model = model_of("linear", NAMES, seed=1)
    before = model.head.classifier()[0].clone()
    assert "only the encoder" in start_from(model, tmp_path)[0]
    assert torch.equal(model.head.classifier()[0], before)


def test_another_encoder_and_a_folder_without_a_model_are_refused(tmp_path: Path) -> None:
    model = model_of("linear", NAMES)
    with pytest.raises(InputError, match=r"no model\.json.*--resume"):
        start_from(model, tmp_path)
    model.save_pretrained(tmp_path)
    other = MultiLabelClassifier.create("mobilenet_v3_small", "linear", labels=NAMES)
    with pytest.raises(InputError, match=r"name shufflenet_v2_x0_5 \(here mobilenet_v3_small\)"):
        start_from(other, tmp_path)


def options(root: Path, folder: Path, **changes) -> TrainConfig:
    quick = {
        "data": "csv",
        "data.root": root,
        "run.output": folder,
        "images.size": 32,
        "run.batch_size": 4,
        "run.epochs": 1,
        "run.progress": False,
        "run.workers": 0,
    }
    encoder = {f"encoder.{name}": value for name, value in changes.items()}
    return plain().with_options({**quick, **encoder})


def test_a_run_initialised_from_another_trains_on(tiny_csv: Path, tmp_path: Path) -> None:
    first = options(tiny_csv, tmp_path / "first", backbone=ENCODER, weights="none", pooling="gem")
    train(first)
    # encoder, pooling and size are those of the model, so they need not be said again
    config = options(tiny_csv, tmp_path / "second", init=tmp_path / "first")
    config = config.with_options({"images.size": None})
    resolved = config.resolved()
    assert (resolved.encoder.backbone, resolved.encoder.weights) == (ENCODER, "none")
    assert (resolved.encoder.pooling, resolved.images.size) == ("gem", 32)
    lines: list[str] = []
    tiny = config.resolved()
    result = train(tiny, log=lines.append)
    assert any("initialised from" in line and "all 3 labels" in line for line in lines)
    assert not any("random weights" in line for line in lines)
    assert len(result.curves) == 1


def test_weights_are_not_given_twice(tiny_csv: Path, tmp_path: Path) -> None:
    first = options(tiny_csv, tmp_path / "first", backbone=ENCODER, weights="none")
    train(first)
    twice = {"init": tmp_path / "first", "weights": "IMAGENET1K_V1"}
    with pytest.raises(InputError, match=r"weights=IMAGENET1K_V1: not for init="):
        options(tiny_csv, tmp_path / "second", **twice)
    once = options(tiny_csv, tmp_path / "second", init=tmp_path / "first")
    train(once)
    train(options(tiny_csv, tmp_path / "third", **{
        name: value for name, value in once.resolved().encoder.to_dict().items()
        if name in ("init", "weights", "backbone")
    }))  # fmt: skip


@pytest.mark.parametrize("content", ["", "[]", '{"format": "gatlabel-model-1"}'])
def test_a_damaged_model_to_start_from_downloads_no_other_weights(
    content: str, tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "model.json").write_text(content)
    config = options(tiny_csv, tmp_path / "second", init=tmp_path / "first", backbone=ENCODER)
    with pytest.raises(InputError, match=r"first/model\.json"):
        train(config)
    assert not (tmp_path / "second").exists()


def interrupted_in_the_folds(config: TrainConfig) -> None:
    """Trains until the process is told to end before the first fold."""

    def stop(*given: object, **options: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatlabel.training.settling.fold_evidence", stop)
        with pytest.raises(Interrupted, match="with 1 of 1 epochs finished"):
            train(config)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on two stages of the encoder; its images are beside it."""
    root = tmp_path_factory.mktemp("first")
    write_colours(root / "data")
    config = options(root / "data", root / "run", backbone=ENCODER, weights="none", stages=2)
    train(config.with_options({"head": "linear"}))
    return root / "run"


def test_folds_of_a_resumed_run_start_from_the_other_run(first: Path, tmp_path: Path) -> None:
    data, found = first.parent / "data", []
    for name in ("whole", "part"):
        config = options(data, tmp_path / name, init=first)
        config = config.with_options({"head": "linear", "run.folds": 2, "optimizer.lr": 1e-4})
        lines: list[str] = []
        if name == "part":
            interrupted_in_the_folds(config)
            resume(tmp_path / name, log=lines.append)
            assert not any("initialised from" in line for line in lines)
        else:
            train(config, log=lines.append)
            assert sum("folds are optimistic" in line for line in lines) == 1
        notes = json.loads((tmp_path / name / "metrics.json").read_text())["notes"]
        assert sum(f"folds=2 with init={first}" in note for note in notes) == 1
        folds = OutOfFold.load(tmp_path / name / "out_of_fold.npz")
        found.append((folds, (tmp_path / name / "model.safetensors").read_bytes()))
    (whole, weights), (part, resumed) = found
    assert np.array_equal(whole.scores, part.scores)
    assert np.array_equal(whole.fold, part.fold)
    assert weights == resumed


@pytest.mark.parametrize("resumed", [False, True])
def test_the_linear_head_for_comparison_starts_from_the_other_run_too(
    resumed: bool, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[MultiLabelClassifier] = []

    def noted(model: MultiLabelClassifier, *given: object, **named: object) -> list[object]:
        started.append(copy.deepcopy(model))
        return []

    config = options(first.parent / "data", tmp_path / "run", init=first)
    config = config.with_options({"head.hidden": 8, "head.heads": 2, "run.compare": "yes"})
    monkeypatch.setattr("gatlabel.training.comparing.fit", noted)
    if resumed:
        with monkeypatch.context() as patch:
            patch.setattr("gatlabel.training.run.baselines_of", raise_keyboard_interrupt)
            with pytest.raises(KeyboardInterrupt):
                train(config)
        resume(tmp_path / "run")
    else:
        train(config)
    (model,) = started
    source = MultiLabelClassifier.from_pretrained(first)
    assert model.head.kind == "linear"
    with torch.no_grad():
        assert torch.equal(model.eval()(IMAGES), source(IMAGES))


def test_a_run_of_pretraining_is_given_as_weights(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(InputError, match=r"pretrain, .* use it with --weights"):
        require_model(tmp_path)


@pytest.mark.parametrize("refit", [False, True])
def test_only_the_run_itself_is_validated_after_its_epochs(
    refit: bool, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights of folds and of the head for comparison are the last ones."""
    validated: list[int] = []
    monkeypatch.setattr(
        Supervised, "validation_step", lambda *given: validated.append(len(given[-1]))
    )
    monkeypatch.setattr(Supervised, "validation_metrics", lambda *given: {})
    config = options(first.parent / "data", tmp_path / "run", init=first)
    given = {"run.compare": "yes", "run.folds": 2, "run.epochs": 2, "run.refit": refit}
    given["run.keep"] = "last"
    lines: list[str] = []
    result = train(
        config.with_options({**given, "head.hidden": 8, "head.heads": 2}), log=lines.append
    )
    assert sum(validated) == 2 * len(result.evaluations[0].source)
    assert [baseline.name for baseline in result.baselines] == ["linear head, same training"]
    assert sum(line.startswith("fold ") for line in lines) == 2


def raise_keyboard_interrupt(*given: object) -> None:
    raise KeyboardInterrupt
