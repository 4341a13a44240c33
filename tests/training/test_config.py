from pathlib import Path

import pytest
import yaml

from gatlabel.data.options import CSV
from gatlabel.engine.options import OptimizerOptions
from gatlabel.errors import InputError
from gatlabel.nn.options import GAT
from gatlabel.option_values import kinds_of
from gatlabel.options import flat, leaves
from gatlabel.training import RECIPES, TrainConfig, asl, mlgcn, plain, resolving
from gatlabel.training.config import read_options
from gatlabel.training.recipes import config_from, read_config


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_config_survives_its_file(recipe: str, tmp_path: Path) -> None:
    given = {"data": "csv", "data.root": Path("images"), "images.size": 96}
    config = RECIPES[recipe]().with_options(given)
    config.save(tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config


def test_recipes_match_their_papers() -> None:
    assert plain() == TrainConfig()
    paper = mlgcn().optimizer
    assert (paper.name, paper.lr, paper.encoder_lr) == ("sgd", 0.1, 0.1)
    assert mlgcn().head.name == "gcn"
    made = asl().resolved()
    assert made.loss.arguments() == {"gamma_positive": 0, "gamma_negative": 4, "clip": 0.05}
    assert made.optimizer.ema == 0.9997
    assert asl().with_options({"run.epochs": 3}).run.epochs == 3


def test_an_unknown_option_in_a_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("run:\n  epoch: 3\n")
    with pytest.raises(InputError, match=r"run.yaml: unknown option 'run.epoch'; .*'run.epochs'"):
        read_config(path)
    path.write_text("epochs: 3\n")
    with pytest.raises(InputError, match=r"run.yaml: unknown option 'epochs'; .*'run.epochs'"):
        read_config(path)


@pytest.mark.parametrize("text", ["- a\n", "a: [", "just words"])
def test_a_broken_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"run\.yaml"):
        read_options(path)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"optimizer": {"lr": "fast"}}, "optimizer.lr"),
        ({"run": {"epochs": 1.5}}, "run.epochs"),
        ({"head": "gatt"}, "head"),
        ({"encoder": {"freeze": "perhaps"}}, "encoder.freeze"),
        ({"data": 3}, "data"),
        ({"data": {"name": 3}}, "data"),
        ({"head": {3: 4}}, "head"),
        ({"encoder": "resnet18"}, "encoder"),
        ({"recipe": "unheard"}, "recipe"),
        ({3: 4}, "3"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(given: dict, name: str) -> None:
    with pytest.raises(InputError, match=name):
        config_from(given)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("run.epochs", -1), ("optimizer.lr", 0.0), ("optimizer.ema", 1.0), ("run.workers", -1)),
        *(("head.hidden", 0), ("run.seed", 2**64)),
    ],
)
def test_a_value_out_of_range_is_named(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{option}="):
        TrainConfig().with_options({option: value})


def test_a_data_set_of_files_needs_its_root() -> None:
    with pytest.raises(InputError, match=r"data\.root: needed"):
        TrainConfig(data="csv")
    with pytest.raises(InputError, match="root: needed"):
        CSV()


def test_python_takes_names_groups_and_dotted_names() -> None:
    one = TrainConfig(head=GAT(hidden=128), data=CSV(root="photos"), optimizer="sgd")
    other = TrainConfig(head={"name": "gat", "hidden": 128}, optimizer=OptimizerOptions(name="sgd"))
    assert one == other.with_options({"data": "csv", "data.root": "photos"})
    assert TrainConfig(head="conditioned").head.name == "conditioned"
    assert hash(one) == hash(one.with_options({}))


def test_choices_left_open_are_made_before_a_run() -> None:
    made = plain().resolved()
    assert made.encoder.backbone != "auto"
    assert (made.images.size, made.run.epochs, made.encoder.pooling) == (96, 4, "gem")
    assert (made.encoder.stride, made.optimizer.encoder_lr) == (16, 1.0)
    assert (made.head.start, made.head.similarity) == ("random", "none")
    resnet = plain().with_options({"encoder.backbone": "resnet18"}).resolved()
    assert resnet.encoder.stride is None
    assert made.resolved() == made
    files = TrainConfig(data=CSV(root="x")).resolved()
    assert (files.run.epochs, files.encoder.stride) == (12, None)
    assert files.optimizer.encoder_lr == 0.1
    given = plain().with_options({"run.epochs": 7, "images.size": 64})
    assert given.resolved().run.epochs == 7


@pytest.mark.parametrize("lite", [False, True])
def test_files_are_named_in_full_whatever_is_installed(lite, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(resolving, "lite_is_installed", lambda: lite)
    monkeypatch.chdir(tmp_path)
    Path("own.pth").write_bytes(b"weights")
    made = plain().with_options({"encoder.weights": "own.pth"}).resolved()
    assert made.encoder.weights == str(tmp_path / "own.pth")
    given = {"data": "csv", "data.root": "photos", "data.classes": "names.txt"}
    data = plain().with_options(given).resolved().data
    assert (data.root, data.classes) == (tmp_path / "photos", tmp_path / "names.txt")
    encoder = plain().resolved().encoder
    assert encoder.backbone == ("efficientnet_lite0" if lite else "resnet18")
    assert encoder.weights == ("default" if lite else "none")


def test_yaml_words_that_are_truth_values_and_numbers_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "data: {name: voc, root: voc, year: 2012, train_set: trainval, val_set: no}\n"
        "run: {amp: off, compare: yes}\noptimizer: {lr: 1e-3}\n"
    )
    config = read_config(tmp_path / "run.yaml")
    assert (config.data.year, config.data.val_set) == ("2012", "no")
    assert (config.run.amp, config.run.compare) == ("off", "yes")
    assert config.optimizer.lr == 1e-3


def test_a_file_older_than_an_option_can_be_read(tmp_path: Path) -> None:
    older = plain().with_options({"head": "query", "head.layers": 5}).to_dict()
    del older["head"]["self_attention"], older["optimizer"]["ema"], older["missing"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(older))
    again = read_config(tmp_path / "config.yaml")
    assert again == plain().with_options({"head": "query", "head.layers": 5})


def test_every_option_is_a_primitive_in_yaml() -> None:
    text = TrainConfig().to_yaml()
    assert list(yaml.safe_load(text)) == list(TrainConfig.__dataclass_fields__)
    assert next(iter(yaml.safe_load(text)["head"])) == "name"


#: Paths that stay as given: relative to data.root, and the place of a new run.
RELATIVE = {"data.annotations", "run.output"}
#: Options that are a path or another text.
TEXTS = {"encoder.weights", "graph", "head.node_features", "loss.pos_weight"}
PLACES = [
    (leaf.path, next(iter(leaf.names), ""))
    for leaf in leaves(TrainConfig)
    if leaf.path not in RELATIVE and (Path in kinds_of(leaf.hint) or leaf.path in TEXTS)
]


@pytest.mark.parametrize(("path", "owner"), PLACES)
def test_every_option_that_may_be_a_path_becomes_absolute(
    path: str, owner: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("its.csv").write_text("")
    group = path.rpartition(".")[0]
    given = {group: owner} if owner else {}
    if group == "data":
        given["data.root"] = "."
    made = plain().with_options(given | {path: "its.csv"}).resolved()
    assert flat(made)[path] == str(tmp_path / "its.csv")
    assert made.resolved() == made


def test_words_and_what_is_relative_to_another_path_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("svd", "none", "balanced", "labels.csv", "run"):
        Path(name).write_text("")
    Path("pretrained").mkdir()
    given = {"head.node_features": "svd", "encoder.weights": "none", "loss.pos_weight": "balanced"}
    given |= {"data": "csv", "data.root": ".", "data.annotations": "labels.csv"}
    made = plain().with_options({**given, "run.output": "run"}).resolved()
    for name in (*given, "run.output"):
        if name not in ("data", "data.root"):
            assert flat(made)[name] == {**given, "run.output": "run"}[name]
    folder = plain().with_options({"encoder.weights": "pretrained"}).resolved()
    assert folder.encoder.weights == str(tmp_path / "pretrained")
