"""The loss of a run: weights, smoothing, progress and a teacher, as set by options."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.losses import (
    BCELoss,
    DistributionBalancedLoss,
    HillLoss,
    LabelSmoothing,
    LabelWeighted,
    SPLCLoss,
    ZLPRLoss,
    balanced_weights,
    read_label_weights,
)
from gatlabel.model import MultiLabelClassifier
from gatlabel.targets import Targets
from gatlabel.training import TrainConfig, plain, train
from gatlabel.training.fitting import module_of
from gatlabel.training.losses import make_loss, refuse_shared_batches
from gatlabel.training.teacher import Teacher

NAMES = ["cat", "dog", "yak"]
TARGETS = Targets(np.array([[1, 0, 0], [1, 1, -1], [0, 0.5, 0], [1, -1, 0]], dtype=np.float32))
QUICK = {
    "data": "csv",
    "encoder.backbone": "shufflenet_v2_x0_5",
    "encoder.weights": "none",
    "images.size": 32,
    "head": "linear",
    "run.batch_size": 8,
    "run.epochs": 2,
    "run.progress": False,
    "run.workers": 0,
}


def config(**options) -> TrainConfig:
    return TrainConfig().with_options({name.replace("__", "."): v for name, v in options.items()})


def test_balanced_weights_are_absences_over_presences() -> None:
    loss = make_loss(config(loss__pos_weight="balanced"), TARGETS)
    assert loss.pos_weight.tolist() == [pytest.approx(1 / 3), 1, 1]
    expected = balanced_weights(torch.tensor([3, 1, 0]), torch.tensor([6, 1, 3]))
    assert expected.tolist() == [2, 1, 1]
    sparse = make_loss(config(loss__pos_weight="balanced"), TARGETS).pos_weight
    torch.testing.assert_close(sparse, loss.pos_weight)
    with pytest.raises(InputError, match="needs the targets"):
        make_loss(config(loss__pos_weight="balanced"))


def test_sparse_targets_have_the_same_balance() -> None:
    from scipy import sparse

    values = sparse.csr_array(np.asarray(TARGETS.to_dense()))
    dense = make_loss(config(loss__pos_weight="balanced"), TARGETS).pos_weight
    found = make_loss(config(loss__pos_weight="balanced"), Targets(values)).pos_weight
    torch.testing.assert_close(found, dense)
    rates = make_loss(config(loss="db"), Targets(values))
    assert isinstance(rates, DistributionBalancedLoss)
    torch.testing.assert_close(1 / rates.inverse[:2], torch.tensor([0.75, 0.5]))


def test_weights_of_a_number_and_of_files(tmp_path: Path) -> None:
    assert make_loss(config(loss__pos_weight=3)).pos_weight == 3
    table, record = tmp_path / "w.csv", tmp_path / "w.json"
    table.write_text("name,weight\ndog,2\nyak,0.5\ncat,1\n")
    record.write_text(json.dumps({"yak": 0.5, "cat": 1, "dog": 2}))
    for file in (table, record):
        loss = make_loss(config(loss__pos_weight=str(file)), TARGETS, NAMES)
        assert loss.pos_weight.tolist() == [1, 2, 0.5]
        weighted = make_loss(config(loss="hill", loss__label_weights=file), TARGETS, NAMES)
        assert isinstance(weighted, LabelWeighted)
        assert isinstance(weighted.loss, HillLoss)
        z, y = torch.randn(4, 3), torch.tensor([[1.0, 0, -1]] * 4)
        each = HillLoss(reduction="none")(z, y) * torch.tensor([1.0, 2, 0.5])
        torch.testing.assert_close(weighted(z, y), each.sum() / 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,weight\ncat,1\ndog,1\n", "no weight for the label 'yak'"),
        ("name,weight\ncat,1\ncat,1\n", "row 3: label 'cat' has a weight already"),
        (
            "name,weight\ncats,1\n",
            "row 2: label 'cats' is not among the labels; did you mean 'cat'",
        ),
        ("name,weight\ncat,nan\n", "row 2: weight of 'cat'=nan: give a finite number"),
        ("name,weight\ncat,-1\n", "must be at least 0"),
        ("name,weight\ncat,much\n", "row 2: the weight 'much' is not a number"),
        ("label,weight\ncat,1\n", "give the columns name and weight, not label, weight"),
        ('["cat"]', "give an object of weights by label name"),
        ('{"cat": true, "dog": 1, "yak": 1}', "weight of 'cat'=True: give a number"),
    ],
)
def test_wrong_files_of_weights_are_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / ("w.csv" if content.startswith(("name", "label")) else "w.json")
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        read_label_weights(file, NAMES)
    zero = tmp_path / "zero.csv"
    zero.write_text("name,weight\ncat,0\ndog,1\nyak,1\n")
    assert read_label_weights(zero, NAMES)[0] == 0
    with pytest.raises(InputError, match="must be above 0"):
        read_label_weights(zero, NAMES, zero=False)


def test_options_belong_to_their_losses() -> None:
    with pytest.raises(InputError, match=r"pos_weight=2: not for loss=focal, only for bce"):
        config(loss="focal", loss__pos_weight=2)
    with pytest.raises(InputError, match=r"label_weights.*not for loss=zlpr, only for"):
        config(loss="zlpr", loss__label_weights="w.csv")
    with pytest.raises(InputError, match="must be above 0"):
        config(loss__pos_weight=0)
    with pytest.raises(InputError, match=r"weight=0\.3: only with a teacher"):
        config(distillation__weight=0.3)
    assert make_loss(config(loss="ce")).form == "well_posed"  # a loss that can be minimised


def test_smoothing_changes_known_targets_in_training_only() -> None:
    loss = make_loss(config(loss="zlpr", loss__label_smoothing=0.2))
    assert isinstance(loss, LabelSmoothing)
    z, y = torch.randn(3, 4), torch.tensor([[1.0, 0, 0.5, -1]] * 3)
    smooth = torch.tensor([[0.9, 0.1, 0.5, -1]] * 3)
    torch.testing.assert_close(loss(z, y), ZLPRLoss()(z, smooth))
    torch.testing.assert_close(loss.eval()(z, y), ZLPRLoss()(z, y))


def test_losses_of_whole_batches_are_for_one_process() -> None:
    for name in ("two_way", "zlpr", "ll_r", "ll_ct"):
        refuse_shared_batches(config(loss=name), 1)
        with pytest.raises(
            InputError, match=f"loss={name}: .* only for 1; losses for several are bce"
        ):
            refuse_shared_batches(config(loss=name), 2)
    refuse_shared_batches(config(loss="hill"), 2)


def test_the_progress_of_training_is_passed_to_the_loss(
    tiny_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(SPLCLoss, "set_progress", lambda self, *how_far: told.append(how_far))
    given = {**QUICK, "data.root": tiny_csv, "run.output": tmp_path / "run", "loss": "splc"}
    train(plain().with_options({**given, "loss.label_smoothing": 0.1}))
    assert told == [(0.0, 0), (0.5, 1)]


def trained(root: Path, folder: Path, **more) -> Path:
    return train(
        plain().with_options({**QUICK, "data.root": root, "run.output": folder, **more})
    ).folder


def test_a_run_learns_from_a_teacher(tiny_csv: Path, tmp_path: Path) -> None:
    teacher = trained(tiny_csv, tmp_path / "teacher")
    options = config(
        distillation__teacher=teacher, distillation__weight=0.25, distillation__temperature=2
    ).distillation
    model = MultiLabelClassifier.from_pretrained(teacher)
    images = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        taught = (model(images) / 2).sigmoid()
    labels = ["blue", "yak", "red"]  # another order, and a label that the teacher lacks
    taught = taught[:, [model.labels.index("blue"), model.labels.index("red")]]
    targets = torch.tensor([[1.0, 0, -1]] * 4)
    found = Teacher.load(options, labels).mixed(images, targets)
    torch.testing.assert_close(found[:, 0], 0.75 + 0.25 * taught[:, 0])
    assert found[:, 1:].tolist() == targets[:, 1:].tolist()
    filled = Teacher.load(options.with_options({"unknown": True}), labels).mixed(images, targets)
    torch.testing.assert_close(filled[:, 2], taught[:, 1])
    larger = Teacher.load(options, labels).mixed(images.repeat(1, 1, 2, 2), targets)
    assert ((larger[:, 0] > 0.75) & (larger[:, 0] < 1)).all()
    with pytest.raises(InputError, match="has none of the 1 labels, such as 'yak'"):
        Teacher.load(options, ["yak"])
    with pytest.raises(InputError, match=r"^teacher: "):
        Teacher.load(options.with_options({"teacher": tmp_path / "nowhere"}), labels)

    given = {**QUICK, "data.root": tiny_csv, "run.output": tmp_path / "run"}
    taught_run = plain().with_options({**given, "distillation.teacher": teacher})
    result = train(taught_run)
    assert result.folder.exists()
    again = MultiLabelClassifier.from_pretrained(teacher)
    for name, value in model.state_dict().items():  # it learns nothing
        torch.testing.assert_close(again.state_dict()[name], value)
    module = module_of(result.model, taught_run, 2)
    assert not any("teacher" in name for name in module.state_dict())
    assert isinstance(result.model.loss, BCELoss)


def test_a_wrong_teacher_or_file_is_found_before_anything_is_written(
    tiny_csv: Path, tmp_path: Path
) -> None:
    for option, value in (
        ("distillation.teacher", tmp_path / "nowhere"),
        ("loss.label_weights", tmp_path / "nowhere.csv"),
    ):
        with pytest.raises(InputError, match="nowhere"):
            trained(tiny_csv, tmp_path / "run", **{option: value})
        assert not (tmp_path / "run").exists()


def test_a_run_is_validated_on_the_mean_of_annotators(tiny_csv: Path, tmp_path: Path) -> None:
    """Soft validation targets count as present from 0.5."""
    from gatlabel.data import read_csv

    splits = read_csv(tiny_csv)
    lines = ["image,split," + ",".join(splits.labels.names)]
    for split, source in splits.items():
        for row, image in enumerate(source.ids):
            present = source.targets.rows([row])[0] >= 0.5
            for annotator in range(3):  # the third sees nothing
                cells = ["1" if seen and annotator < 2 else "0" for seen in present]
                lines.append(",".join([image, split, *cells]))
    (tiny_csv / "annotators.csv").write_text("\n".join(lines) + "\n")
    options = {
        "data.root": str(tiny_csv), "data.annotations": "annotators.csv",
        "data.label_columns": splits.labels.names, "data.repeated": "average",
        "run.output": str(tmp_path / "run"), "run.epochs": 1,
    }  # fmt: skip
    result = train(TrainConfig().with_options({**QUICK, **options}))
    assert 0 < result.curves[-1]["val_mAP"] <= 1
