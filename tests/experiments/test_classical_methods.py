"""``benchmark methods``: classical methods and heads in one table with paired tests."""

import pytest

from gatlabel.baselines.classical.options import CLASSICAL, Forest
from gatlabel.errors import InputError
from gatlabel.experiments.config import make_config
from gatlabel.experiments.methods import list_methods
from gatlabel.experiments.runner import make_plan, run_on
from tests.experiments.synthetic import SMALL, benchmark, config

QUICK = ("svm:c=0.1", "forest:trees=5", "mlknn:neighbours=3", "hmm", "pairwise")


def methods_config(output, **options):
    given = {"kind": "methods", "graphs": ("complete",), "methods": QUICK, **options}
    return config(output, **given)


def test_classical_methods_and_heads_share_one_table(tmp_path) -> None:
    task, backend = benchmark(tmp_path / "data")
    options = methods_config(tmp_path / "out")
    heads = SMALL | options.method_options
    whole = type(backend)(backend.data, backend.train, heads, backend.fit)
    said = []
    result = run_on(options, task, lambda: whole, said.append)
    titles = [m.title for m in make_plan(options, task).methods]
    names = [text.partition(":")[0] for text in QUICK]
    assert titles == ["linear", "gat · complete", *names]
    assert "Benchmark of methods" in result.title
    assert all(name in result.table() for name in names)
    tested = {c.ours.head for c in result.comparisons if c.against == "linear" and c.corrected}
    assert tested == {"gat", *names}
    assert all(c.difference.low is not None for c in result.comparisons)
    again = run_on(options, task, lambda: pytest.fail("all is there"), said.append)
    assert again.table() == result.table()
    tuned = (tmp_path / "out" / "tuning.csv").read_text()
    assert "gat" in tuned
    assert "svm" not in tuned  # they choose their own options


def test_a_score_depends_on_the_seed_only_where_something_is_drawn(tmp_path) -> None:
    _, backend = benchmark(tmp_path)
    options = methods_config(tmp_path / "out", methods=("mlknn", "forest:trees=5"))
    whole = type(backend)(backend.data, backend.train, options.method_options, backend.fit)
    for method in list_methods([], ["complete"], classical=["mlknn", "forest"])[1:]:
        condition = methods_config(tmp_path / "out").train_fractions[0]
        assert condition == 1.0
        from gatlabel.experiments.outcome import Condition

        first, second = (
            whole.run(method, Condition(), {}, seed, ablate=False)[0] for seed in (0, 1)
        )
        assert (first.logits == second.logits).all() == (method.head == "mlknn")
        assert first.parameters > 100
        masked = whole.run(method, Condition(masked=0.5), {}, 0, ablate=False)[0]
        assert (masked.logits != first.logits).any()


def test_treatments_of_unknown_labels_that_classical_methods_take() -> None:
    found = list_methods([], ["npmi"], ["complete", "negative"], classical=["svm"])
    assert [m.unknown for m in found if m.head == "svm"] == ["negative"]
    found = list_methods([], ["npmi"], ["complete"], classical=["svm"])
    assert [m.unknown for m in found if m.head == "svm"] == ["ignore"]


def test_defaults_and_wrong_options() -> None:
    assert make_config("methods").methods == tuple(CLASSICAL)
    assert make_config("heads").methods == ()
    assert make_config("methods", methods=Forest(trees=7)).methods == ("forest:trees=7",)
    for options, message in (
        ({"methods": "forrest"}, "did you mean 'forest'"),
        ({"methods": "forest:tree=3"}, "methods.head.tree"),
        ({"methods": ("svm", "svm:c=1")}, "duplicates are not allowed"),
        ({"mode": "end-to-end"}, "only with mode=frozen"),
        ({"heads": "forest"}, "unknown head"),
    ):
        with pytest.raises(InputError, match=message):
            make_config("methods", **options)
