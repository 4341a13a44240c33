"""Every mistake on the command line or in a config file is one line that names it."""

import os
import re
from pathlib import Path

import pytest

from gatlabel.cli import main
from gatlabel.cli.parsing import make_parser, parse
from gatlabel.errors import InputError
from gatlabel.training.config import TrainConfig
from gatlabel.training.recipes import config_from, read_config
from gatlabel.training.run_folder import RunFolder

ODD = os.fsdecode(b"caf\xe9 \xff")


def parsed(*words: str) -> dict[str, object]:
    parser = make_parser("graph show", "A parser of all kinds.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--text", type=str | None)
    parser.add_argument("--path", type=Path | None)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--share", type=float | None)
    parser.add_argument("--three", type=tuple[float, float, float], default=(1, 2, 3))
    parser.add_argument("--switch", type=bool, default=False)
    return parse(parser, words).as_dict()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "required: run"),
        ([""], "an argument: the value is empty"),
        (["a", "b"], "unrecognized arguments: b"),
        (["a", "-x"], "unrecognized arguments: -x"),
        (["a", "--tex", "b"], "unknown option --tex; did you mean '--text'? (gatlabel graph show"),
        (["a\0b"], "NUL character"),
        (["a", "--path", "a\0b"], "NUL character"),
        (["a", "--path", ""], "option --path: the value is empty"),
        (["a", "--path="], "option --path: the value is empty"),
        (["a", "--help=1"], "option --help takes no value"),
        (["a", "--count", ""], "option --count: the value is empty"),
        (["a", "--text"], "option --text: expected one argument"),
        (["a", "--count", "many"], "option --count='many': give a whole number"),
        (["a", "--count", "1e3"], "option --count='1e3': give a whole number"),
        (["a", "--count", "9" * 40], "option --count=9999"),
        (["a", "--count", "-" + "9" * 40], "option --count"),
        (["a", "--count", "0x" + "f" * 9000], "option --count='0xfff"),
        (["a", "--count", "9" * 5000], "option --count='999"),
        (["a", "--share", "nan"], "option --share=nan: give a finite number"),
        (["a", "--share", "1e999"], "option --share=inf: give a finite number"),
        (["a", "--share", "2020-99-99"], "option --share='2020-99-99': give a number"),
        (["a", "--three", "[1,2"], "option --three"),
        (["a", "--three", "[1,2,.inf]"], "option --three=inf: give a finite number"),
        (["a", "--three", "[" * 5000], "option --three"),
        (["a", "--three", "&a [*a,*a,*a]"], "option --three"),
        (["a", "--three", "!!timestamp x"], "option --three="),
        (["a", "--three", "!!python/object/apply:os.abort []"], "option --three"),
        (["a", "--switch=garbage"], "option --switch='garbage': give true or false"),
        (["a", "--switch", "garbage"], "unrecognized arguments: garbage"),
        (["a", "--path", "x" * 10**5, "--count", "y" * 10**5], "option --count"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parsed(*words)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ([ODD], "run", Path(ODD)),
        (["a", "--path", ODD], "path", Path(ODD)),
        (["a", "--path", "\x1b[31m\u202e"], "path", Path("\x1b[31m\u202e")),
        (["a", "--text", ODD], "text", ODD),
        (["a", "--text", "[x: {y"], "text", "[x: {y"),
        (["a", "--text", "2020-99-99"], "text", "2020-99-99"),
        (["a", "--text=-5"], "text", "-5"),
        (["a", "--count", "1", "--count", "2"], "count", 2),
        (["a", "--count", str(2**63 - 1)], "count", 2**63 - 1),
        (["a", "--switch"], "switch", True),
        (["a", "--switch", "--no-switch"], "switch", False),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_odd_values_arrive_as_they_are(words: list[str], name: str, value: object) -> None:
    assert parsed(*words)[name] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {epochs: many}", "run.epochs='many': give a whole number"),
        (f"run: {{epochs: {'9' * 40}}}", "run.epochs=9999"),
        ("optimizer: {lr: .inf}", "optimizer.lr=inf: give a finite number"),
        ("optimizer: {weight_decay: .nan}", "optimizer.weight_decay=nan: give a finite number"),
        (
            "data: {name: csv, root: a, fractions: [.nan, 0.5, 0.5]}",
            "data.fractions=nan: give a fin",
        ),
        ("data: {name: csv, root: {a: b}}", "data.root="),
        ("data: {name: csv, root: 2020-01-01}", "data.root="),
        ("optimizer: {lr: !!binary aGVsbG8=}", "optimizer.lr="),
        ("head: [gat]", "head="),
        ("run: {progress: 2}", "run.progress=2: give true or false"),
        ("recipe: [a]", "recipe="),
        ("epochs: 3", "unknown option 'epochs'; did you mean 'run.epochs'"),
        ("1: 3", "unknown option '1'"),
    ],
)
def test_mistakes_in_a_config_file(text: str, message: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_config(path)
    assert main(["train", "--config", str(path), "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_config_holds_names_that_are_not_utf8(tmp_path: Path) -> None:
    config = TrainConfig().with_options(
        {"data": "csv", "data.root": tmp_path / ODD, "images.cache_folder": Path("\x1b\u202e")}
    )
    folder = RunFolder(tmp_path)
    config.save(folder.config)
    assert folder.read_config() == config == config_from(config.to_dict())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["graph", "show", "g.json", "--edges", "0"], "--edges 0: must be at least 1"),
        (["graph", "show", "g.json", "--edges", "-1"], "--edges -1: must be at least 1"),
        (["graph", "show", "g.json", "--edges", "9" * 40], "option --edges=9999"),
        (["explain", "run", "--rows", "0"], "--rows 0: must be at least 1"),
        (["explain", "run", "--edges", "-3"], "--edges -3: must be at least 1"),
        (["benchmark", "summary", "a", "--resamples", "0"], "unknown option --resamples"),
        (["benchmark", "graphs", "--trials", "10" * 6], "trials=101010101010: must be at most 27"),
        (["benchmark", "graphs", "--workers", "100000"], "workers=100000: must be at most 512"),
        (["benchmark", "graphs", "--seeds", "1000000000"], "seeds=1000000000: must be at most"),
        (["benchmark", "graphs", "--tuning-seeds", "0"], "tuning_seeds=0: must be at least 1"),
        (["benchmark", "graphs", "--train-fractions", "nan"], "train_fractions=nan"),
        (["benchmark", "graphs", "--graphs", "a\x1b.json"], "invisible characters"),
        (["benchmark", "graphs", "--graphs", "npmi:top_k=2020-99-99"], "give a whole number"),
        (["benchmark", "graphs", "--graphs", "npmi:top_k=!!bool x"], "give a whole number"),
        (["predict", "run"], "required: images"),
        (["predict", "run", ""], "the value is empty"),
        (["evaluate", "run", "--split="], "option --split: the value is empty"),
        (["export", "run", "--format", ""], "option --format: the value is empty"),
        (["graph", "build", "c.json", "o.json", "--edges", "1"], "unknown option --edges"),
        (["train", "--output", ""], "option --output: the value is empty"),
        (["train", "--config", ""], "option --config: the value is empty"),
        (["train", "--seed", "9" * 40], "run.seed=9999"),
        (["", "--help"], "unknown command ''"),
        (["graph", "shwo"], "did you mean 'show'"),
        (["benchmark", "summery"], "did you mean 'summary'"),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_commands_refuse_in_one_line(words: list[str], message: str, capsys) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
