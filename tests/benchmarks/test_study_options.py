"""Studies give options that benchmarks know."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from gatlabel.experiments import make_config

SHOWN = {"environment": {}}


@pytest.fixture
def begun(load, monkeypatch, tmp_path):
    """Returns the configurations of the benchmarks that a study runs to its end, none computed."""

    def begin(name: str, *words: str):
        script, found = load(name), []
        for data in ("voc2007-part", "coco-part"):
            (tmp_path / "data" / data).mkdir(parents=True)

        def run_benchmark(config):
            found.append(config)
            nothing = dict.fromkeys(("runs", "methods", "conditions", "comparisons"), ())
            return SimpleNamespace(**nothing, data_sets={"": SimpleNamespace(**SHOWN)}, verdict=())

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(script, "run_benchmark", run_benchmark)
        for writer in ("write_result", "write_json"):
            monkeypatch.setattr(script, writer, lambda *given: None, raising=False)
        monkeypatch.setattr("sys.argv", [name, *words])
        script.main()
        return found

    return begin


def test_treatments_are_compared_in_one_benchmark_each(begun, tmp_path: Path) -> None:
    found = begun("treatments", "--shared", str(tmp_path))
    drawn, photographs = found[:2], found[2:]
    assert [config.train.data.preset for config in drawn] == ["voc", "coco"]
    assert [config.train.data.root.name for config in photographs] == ["voc2007-part", "coco-part"]
    assert {config.unknown for config in found} == {("ignore", "negative", "prior", "complete")}


def test_every_circumstance_is_an_option(begun) -> None:
    found = begun("where_it_helps", "--preset", "voc")
    trained = [config.train for config in found]
    assert {train.data.strength for train in trained} >= {0.0, 0.5, 1.5}
    assert {train.data.hidden for train in trained} >= {0.0, 0.35, 0.7}
    assert {train.data.long_tail for train in trained} >= {0.0, 1.5}
    assert {train.missing.label_noise for train in trained} >= {0.0, 0.2, 0.4}
    assert {config.mask_labels for config in found} >= {(0.1,), (0.5,), (0.9,)}


def test_both_starts_are_options(load) -> None:
    script = load("linear_start")
    for given in script.DATA.values():
        root = {"data.root": "images"} if given["data"] == "csv" else {}
        for start in script.STARTS:
            config = make_config("heads", heads=("linear",), frozen_start=start, **given, **root)
            assert config.frozen_start == start
