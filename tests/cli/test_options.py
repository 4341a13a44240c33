"""Options on the command line: each goes to YAML, to Python and back; help fits a screen."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml

from gatlabel.cli import main
from gatlabel.cli.options import flags_of, topics_of
from gatlabel.option_values import kinds_of, words_of
from gatlabel.options import Leaf, flat, leaves, nested
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import config_from, read_config

LEAVES = list(leaves(TrainConfig))
#: Kinds of data that lie in no folder.
ROOTLESS = ("scenes", "python")
FLAGS = flags_of(TrainConfig)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def printed(*words: str) -> str:
        assert main(["train", *words, "--print-config"]) == 0
        return capsys.readouterr().out

    return printed


def _word(leaf: Leaf) -> str:
    """A word for an option that is not its default."""
    field, default = leaf.field, leaf.field.default
    kinds = kinds_of(leaf.hint)
    if "choices" in field.metadata:
        return list(field.metadata["choices"])[-1]
    special = {
        "recipe.time": "10m", "head.similarity": "seen:names=0.25", "graph": "npmi:top_k=5",
        "data.fractions": "[0.5, 0.25, 0.25]", "data.label_columns": "[cat, 'a,b']",
        "optimizer.lr": "1e-4", "decision.aim": "micro-f1", "distillation.teacher": "run",
    }  # fmt: skip
    if leaf.path in special:
        return special[leaf.path]
    if words := [word for word in words_of(leaf.hint) if word != default]:
        return str(words[-1])
    if bool in kinds:
        return "false" if default else "true"
    if int in kinds:
        return str(max(3, int(field.metadata["least"])) + (default == 3))
    if float in kinds:
        return str(max(0.25, field.metadata.get("least", 0)) + (field.metadata.get("least") == 1))
    assert {str, Path} & set(kinds), leaf
    return "other"


def _words(leaf: Leaf) -> list[str]:
    """The arguments for an option, with the choice that has it."""
    words = []
    parent = leaf.path.rpartition(".")[0]
    if leaf.names:
        words += [f"--{parent}", leaf.names[0]]
        if parent == "data" and leaf.names != ("scenes",) and leaf.path != "data.root":
            words += ["--root", "photos"]
    if leaf.path.startswith("head.similarity"):
        words += ["--head.start", "ridge"]
    if leaf.path in ("head.layers",) and "query" not in leaf.names:
        words += ["--head.base", "nodes"]
    if leaf.path.startswith("distillation.") and not leaf.path.endswith("teacher"):
        words += ["--teacher", "run"]
    if leaf.path == "decision.confidence":
        words += ["--decision.aim", "miss-rate=0.1"]
    if leaf.path == "run.overwrite":
        words += ["--output", "run"]
    path = leaf.path.removesuffix(".name").replace("_", "-")
    return [*words, f"--{path}={_word(leaf)}"]


def _value(config: Any, path: str) -> Any:
    for name in path.split("."):
        config = getattr(config, name)
    return config


NAMED = [pytest.param(leaf, id="-".join((*leaf.names, leaf.path))) for leaf in LEAVES]


@pytest.mark.parametrize("leaf", NAMED)
def test_an_option_goes_from_words_to_yaml_to_python_and_back(leaf: Leaf, printed) -> None:
    words = _words(leaf)
    if words[-1] == "--data=json":
        words += ["--root", "photos"]
    text = printed("--recipe", "plain", *words) if leaf.path[:7] != "recipe." else printed(*words)
    given = yaml.safe_load(text)
    config = config_from(given)
    value = _value(config, leaf.path)
    if "choices" in leaf.field.metadata:
        assert value.name == _word(leaf)
    else:
        assert value != leaf.field.default
        assert value in (_word(leaf), value if not isinstance(value, str) else "")
    assert config.to_dict() == given
    again = TrainConfig().with_options(nested(flat(config)))
    assert again == config
    rebuilt = TrainConfig(**{name: given[name] for name in given})
    assert rebuilt == config


def test_every_choice_is_built_by_its_name(printed) -> None:
    """A library built the first of several dataclasses with the same fields, whatever the name."""
    for leaf in LEAVES:
        for name, kind in leaf.field.metadata.get("choices", {}).items():
            root = ["--root", "photos"] if leaf.path == "data" and name not in ROOTLESS else []
            text = printed(f"--{leaf.path}", name, *root)
            assert type(_value(config_from(yaml.safe_load(text)), leaf.path)) is kind


def test_short_names_are_those_of_the_same_option(printed) -> None:
    short = [flag for flag in FLAGS if len(flag.names) == 2]
    assert {"--root", "--backbone", "--weights", "--image-size", "--epochs", "--batch-size"} <= {
        flag.names[1] for flag in short
    }
    for dotted, brief in (("--run.epochs", "--epochs"), ("--images.size", "--image-size")):
        assert (
            printed(dotted, "64")
            == printed(brief, "64")
            == printed(brief.replace("-s", "_s"), "64")
        )


def test_the_command_line_is_over_the_file_and_the_file_over_the_recipe(
    printed, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("recipe: asl\nhead: {name: gat, hidden: 64}\noptimizer: {lr: 0.5}\n")
    given = yaml.safe_load(printed("--config", str(path), "--head.heads", "2", "--lr", "0.25"))
    assert (given["loss"]["name"], given["run"]["epochs"]) == ("asl", 40)
    assert (given["head"]["hidden"], given["head"]["heads"]) == (64, 2)
    assert given["optimizer"]["lr"] == 0.25
    # a choice of another name starts from its own defaults
    given = yaml.safe_load(printed("--config", str(path), "--head", "conditioned"))
    assert given["head"]["hidden"] == 256
    given = yaml.safe_load(printed("--config", str(path), "--recipe", "mlgcn"))
    assert (given["recipe"]["name"], given["head"]["name"]) == ("mlgcn", "gat")
    assert given["optimizer"]["weight_decay"] == 1e-4


def test_a_printed_config_is_a_config(printed, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(printed("--data", "csv", "--root", "photos", "--head", "csra"))
    assert read_config(path).to_yaml() == path.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hidden", "8"], "unknown option --hidden; did you mean '--data.hidden' or '--head.hid"),
        (["--epochz", "8"], "unknown option --epochz; did you mean '--epochs'"),
        (["--head.hiden", "8"], "unknown option --head.hiden; did you mean '--head.hidden'"),
        (["--head", "gatt"], "unknown head 'gatt'; did you mean 'gat'"),
        (["--data", "cvs"], "unknown data 'cvs'; did you mean 'csv'"),
        (["--head", "gcn", "--head.lam", "1"], "head.lam=1: not for head=gcn, only for csra"),
        (["--data.separator", ";"], "data.separator=;: not for data=scenes, only for csv"),
        (["--data", "csv"], "data.root: needed"),
        (["--optimizer.lr", "fast"], "optimizer.lr='fast': give a number, or find"),
        (
            ["--optimizer.schedule.epochs", "3"],
            "not for optimizer.schedule=onecycle, only for step",
        ),
        (["--recipe", "mlgnc"], "unknown recipe 'mlgnc'; did you mean 'mlgcn'"),
        (["--run.amp", "of"], "run.amp='of': give auto or on or off"),
        (["--print-config", "--freeze", "norm"], "did you mean 'norms'"),
    ],
)
def test_invalid_options_are_refused_in_one_line(words: list[str], message: str, capsys) -> None:
    assert main(["train", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def _helped(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == 0
    return capsys.readouterr().out.splitlines()


def test_the_help_of_train_fits_one_screen(capsys) -> None:
    lines = _helped(capsys, "train", "--help")
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for name in ("root", "backbone", "weights", "image-size", "epochs", "batch-size", "lr", "seed",
                 "output", "device", "workers", "freeze", "preset", "time", "recipe", "keep",
                 "folds", "similarity", "graph", "head", "loss", "data"):  # fmt: skip
        assert f"--{name} " in text


def test_the_other_options_are_in_the_help_on_topics(capsys) -> None:
    topics = topics_of(FLAGS)
    assert topics == list(TrainConfig.__dataclass_fields__)
    lines = [line for topic in topics for line in _helped(capsys, "train", "--help", topic)]
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for flag in FLAGS:
        assert f"  {', '.join(flag.names)}" in text
    head = "\n".join(_helped(capsys, "train", "--help", "head"))
    assert "[csra] Weight of the attended score" in head
    assert main(["train", "--help", "hed"]) == 2
    assert "unknown topic 'hed'; did you mean 'head'" in capsys.readouterr().err


def test_options_load_no_library() -> None:
    code = (
        "import sys\n"
        "import gatlabel.options, gatlabel.option_values\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(*sorted(loaded & {'torch', 'numpy', 'yaml', 'scipy', 'networkx', 'lightning'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ""


def test_hints_are_of_kinds_that_words_can_be() -> None:
    for leaf in LEAVES:
        for kind in kinds_of(leaf.hint):
            origin = get_origin(kind)
            assert kind in (int, float, bool, str, Path, type(None)) or origin is not None
            if origin is tuple:
                assert get_args(kind)


def test_a_shell_completes_every_command(capsys) -> None:
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    for word in ("train", "graphs", "--head.hidden", "--image-size", "conditioned"):
        assert word in script
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_completion_without_its_extra_names_it(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "gatlabel[completion]" in capsys.readouterr().err
