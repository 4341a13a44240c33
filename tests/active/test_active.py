"""Choice of questions, answer files, and updates of classifiers by answers."""

import json
import os
import pty
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.special import expit
from scipy.stats import entropy as scipy_entropy
from sklearn.linear_model import LogisticRegression

from gatlabel import Cooccurrence, LabelGraph, MultiLabelClassifier
from gatlabel.active import (
    AnswerFile,
    LogitVariance,
    PairwiseModel,
    SuggestConfig,
    choose_questions,
    expected_information,
    rank_images,
    read_answers,
    updated_classifiers,
)
from gatlabel.active.answers import Answer, answers_tensor
from gatlabel.active.information import best_questions, entropy, posterior_logits
from gatlabel.active.session import Asked, ask
from gatlabel.active.variance import PENALTY
from gatlabel.baselines.moments import Moments
from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.labels import LabelSet
from tests.cli.test_cli import error_of, train
from tests.colours import write_colours

LABELS = LabelSet(["cat", "dog", "sofa"])


def pairs(labels: int = 6, seed: int = 0) -> PairwiseModel:
    rng = torch.Generator().manual_seed(seed)
    dense = torch.randn(labels, labels, generator=rng).triu(1)
    dense = torch.where(dense.abs() > 0.7, 2 * dense, 0.0)
    dense = dense + dense.T
    target, source = dense.nonzero(as_tuple=True)
    return PairwiseModel(torch.stack([source, target]), dense[target, source])


def variances(images: int, labels: int = 6) -> LogitVariance:
    return LogitVariance(torch.rand(images) + 0.5, 3 * torch.rand(labels) + 0.01)


def slow_information(
    z: np.ndarray, model: PairwiseModel, variance: LogitVariance | None = None
) -> np.ndarray:
    """The definition, question by question, with scipy's entropy."""
    u = np.ones(z.shape[1]) if variance is None else variance.labels.numpy()

    def h(logit: float) -> float:
        return float(scipy_entropy([expit(logit), expit(-logit)]))

    found = np.zeros_like(z)
    for n in range(len(z)):
        for j in range(z.shape[1]):
            q = expit(z[n, j])
            found[n, j] = u[j] * h(z[n, j])
            for source, i, w in zip(*model.edges.tolist(), model.weights.tolist(), strict=True):
                if source == j:
                    after = q * h(z[n, i] + w * (1 - q)) + (1 - q) * h(z[n, i] - w * q)
                    found[n, j] += u[i] * max(0.0, h(z[n, i]) - after)
    return found if variance is None else found * variance.images.numpy()[:, None]


class TestInformation:
    def test_entropy_of_any_logit(self) -> None:
        logits = torch.tensor([-200.0, -3.0, 0.0, 0.5, 200.0])
        expected = [0.0, *(scipy_entropy([expit(z), expit(-z)]) for z in (-3.0, 0.0, 0.5)), 0.0]
        torch.testing.assert_close(entropy(logits), torch.tensor(expected, dtype=torch.float32))

    @pytest.mark.parametrize("unsure", [False, True])
    def test_against_the_definition(self, unsure: bool) -> None:
        z = 2 * torch.randn(20, 6)
        model, variance = pairs(), variances(20) if unsure else None
        expected = torch.from_numpy(slow_information(z.numpy(), model, variance)).float()
        found = expected_information(z, model, variance)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("per_image", [1, 2, 6])
    @pytest.mark.parametrize("count", [1, 7, 60])
    @pytest.mark.parametrize("unsure", [False, True])
    def test_the_best_questions_are_those_of_a_full_sort(
        self, count: int, per_image: int, unsure: bool
    ) -> None:
        z = 3 * torch.randn(40, 6)
        open_ = torch.rand(40, 6) < 0.8
        model, variance = pairs(), variances(40) if unsure else None
        gain = expected_information(z, model, variance)
        places, worth = best_questions(z, model, open_, count, per_image, variance)
        taken: list[tuple[int, int]] = []
        for flat in gain.flatten().argsort(descending=True).tolist():
            n, i = divmod(flat, 6)
            if open_[n, i] and [row for row, _ in taken].count(n) < per_image:
                taken.append((n, i))
        assert [tuple(one) for one in places.T.tolist()] == taken[:count]
        np.testing.assert_allclose(worth, [gain[n, i] for n, i in taken[:count]], rtol=1e-4)

    def test_odds_ratios_of_counts(self) -> None:
        rng = np.random.default_rng(0)
        y = (rng.random((400, 5)) < 0.3).astype(float)
        y[:, 1] = np.where(rng.random(400) < 0.9, y[:, 0], y[:, 1])
        y[rng.random((400, 5)) < 0.2] = -1
        model = PairwiseModel.of_counts(Cooccurrence.from_targets(y, list("abcde")))
        found = {
            tuple(edge): w
            for edge, w in zip(model.edges.T.tolist(), model.weights.tolist(), strict=True)
        }
        known = (y[:, 0] >= 0) & (y[:, 1] >= 0)
        cells = [
            ((y[known, 0] == a) & (y[known, 1] == b)).sum() + 0.5 for a in (1, 0) for b in (1, 0)
        ]
        expected = 0.5 * np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
        assert found[0, 1] == pytest.approx(expected, rel=1e-5)
        assert found[0, 1] == found[1, 0]

    def test_an_answer_moves_its_neighbours_only(self) -> None:
        model = PairwiseModel(torch.tensor([[0], [2]]), torch.tensor([1.5]))
        answers = torch.full((2, 3), -1.0)
        answers[1, 0] = 1
        z = torch.randn(2, 3)
        moved = posterior_logits(z, answers, model)
        assert torch.equal(moved[0], z[0])
        assert torch.equal(moved[1, :2], z[1, :2])
        expected = z[1, 2] + 1.5 * (1 - z[1, 0].sigmoid())
        torch.testing.assert_close(moved[1, 2], expected)

    def test_images_whose_labels_imply_each_other_are_less_informative(self) -> None:
        strong = PairwiseModel(torch.tensor([[0, 1], [1, 0]]), torch.tensor([8.0, 8.0]))
        z, none = torch.zeros(1, 2), torch.full((1, 2), -1.0)
        alone = rank_images(z, none, PairwiseModel.none())[1]
        assert float(alone) == pytest.approx(2 * np.log(2), rel=1e-5)
        assert float(rank_images(z, none, strong)[1]) < float(alone)


class TestChoosing:
    def test_answered_and_skipped_questions_are_not_asked(self) -> None:
        z = torch.zeros(2, 3)
        answers = torch.tensor([[1.0, -1, -1], [-1, 0, -1]])
        skipped = torch.zeros(2, 3, dtype=torch.bool)
        skipped[0, 1] = True
        found = choose_questions(z, answers, PairwiseModel.none(), 10, per_image=3, skipped=skipped)
        assert {(q.row, q.label) for q in found} == {(0, 2), (1, 0), (1, 2)}

    def test_a_batch_is_spread_over_unlike_images(self) -> None:
        z = torch.full((12, 1), -1.0)
        features = torch.cat([3 * torch.eye(8)[:1].repeat(6, 1), 2.9 * torch.eye(8)[1:7]])
        moments = Moments.of(torch.randn(500, 8))
        one, half = torch.tensor([1]), torch.tensor([0.5])
        variance = LogitVariance.of(features, moments, one, half)
        nothing, none = torch.full((12, 1), -1.0), PairwiseModel.none()
        found = choose_questions(z, nothing, none, 4, variance=variance)
        assert sum(q.row < 6 for q in found) == 1
        alone = LogitVariance(variance.images, variance.labels)
        assert sum(q.row < 6 for q in choose_questions(z, nothing, none, 4, variance=alone)) > 1

    def test_a_batch_is_that_of_the_variance_after_each_answer(self) -> None:
        """Against inverting the precision anew after every question of one label."""
        rng = torch.Generator().manual_seed(3)
        x = torch.randn(30, 6, generator=rng)
        moments, known, rates = Moments.of(x), torch.tensor([20]), torch.tensor([0.3])
        variance = LogitVariance.of(x, moments, known, rates)
        z = torch.randn(30, 1, generator=rng)
        found = choose_questions(
            z, torch.full((30, 1), -1.0), PairwiseModel.none(), 10, variance=variance
        )
        centred = np.c_[(x - moments.mean).numpy(), np.ones(30)]
        prior = np.eye(7)
        prior[:6, :6] = (moments.basis.T * moments.variance) @ moments.basis
        prior[:6, :6] += PENALTY * moments.mean_square * np.eye(6)
        precision = 20 * 0.3 * 0.7 * prior
        q, h = expit(z[:, 0].double().numpy()), entropy(z[:, 0].double()).numpy()
        taken: list[int] = []
        for _ in range(10):
            left = (centred @ np.linalg.inv(precision) * centred).sum(1) * h
            left[taken] = -1
            taken.append(int(left.argmax()))
            row = centred[taken[-1]]
            precision = precision + q[taken[-1]] * (1 - q[taken[-1]]) * np.outer(row, row)
        assert [one.row for one in found] == taken

    def test_what_is_known_well_is_not_asked(self) -> None:
        """Of two labels alike, the one with fewer positives; of two images, the unlike one."""
        x = torch.randn(50, 4)
        x[1] = 8 * x[0]
        variance = LogitVariance.of(
            x[:2], Moments.of(x[2:]), torch.tensor([50, 50]), torch.tensor([0.5, 0.05])
        )
        nothing = torch.full((2, 2), -1.0)
        found = choose_questions(
            torch.full((2, 2), -1.0), nothing, PairwiseModel.none(), 1, variance=variance
        )
        assert (found[0].row, found[0].label) == (1, 1)
        assert found[0].probability == pytest.approx(float(expit(-1.0)))

    def test_the_variance_is_that_of_the_posterior(self) -> None:
        """Against the inverse of the precision of logistic regression at constant probability."""
        x = torch.randn(300, 5).double()
        moments = Moments.of(x)
        penalty = PENALTY * moments.mean_square
        known, rates = torch.tensor([300]), torch.tensor([0.2])
        found = LogitVariance.of(x, moments, known, rates)
        centred = (x - moments.mean).numpy()
        precision = 300 * 0.2 * 0.8 * (np.cov(centred.T, bias=True) + penalty * np.eye(5))
        own = (centred @ np.linalg.inv(precision) * centred).sum(1) + 1 / (300 * 0.2 * 0.8)
        np.testing.assert_allclose(found.images * found.labels, own, rtol=1e-4)

    def test_nothing_is_asked_to_learn_what_is_answered(self) -> None:
        """Labels 0 and 1 imply label 2 alike, but of the first image it is known."""
        model = PairwiseModel(torch.tensor([[0, 1], [2, 2]]), torch.tensor([3.0, 3.0]))
        z, answers = torch.zeros(2, 3), torch.full((2, 3), -1.0)
        answers[0, 2] = 1.0
        found = choose_questions(z, answers, model, 5, per_image=3)
        assert {(q.row, q.label) for q in found[:2]} == {(1, 0), (1, 1)}
        assert all(q.information == pytest.approx(np.log(2)) for q in found[2:] if q.row == 0)

    def test_invalid_arguments_are_refused(self) -> None:
        with pytest.raises(InputError, match="count=0"):
            choose_questions(torch.zeros(2, 2), torch.full((2, 2), -1.0), PairwiseModel.none(), 0)


class TestUpdating:
    def problem(self) -> tuple:
        x = torch.randn(400, 12)
        w, b = torch.randn(3, 12), torch.randn(3)
        targets = (torch.rand(60, 3) < (x[:60] @ w.T + b).sigmoid()).float()
        targets[:, 2] = -1
        targets[20:, 1] = -1
        start = torch.randn(3, 12) * 0.1, torch.zeros(3)
        known, rates = torch.full((3,), 40), torch.full((3,), 0.5)
        return x, w, b, targets, start, known, rates

    def test_labels_without_answers_stay(self) -> None:
        x, _, _, targets, start, known, rates = self.problem()
        moments = Moments.of(x)
        weight, bias = updated_classifiers(*start, moments, known, rates, x[:60], targets)
        assert torch.equal(weight[2], start[0][2])
        assert torch.equal(bias[2], start[1][2])
        assert not torch.equal(weight[1], start[0][1])

    def test_it_is_the_mode_of_the_posterior(self) -> None:
        """By scikit-learn, in features in which the prior is a ball about the old classifier."""
        x, _, _, targets, _, known, rates = self.problem()
        moments = Moments.of(x)
        zero = torch.zeros(3, 12), torch.zeros(3)
        weight, bias = updated_classifiers(*zero, moments, known, rates, x[:60], targets)
        covariance = moments.basis.T * moments.variance @ moments.basis
        prior = 10.0 * (covariance + 30 * moments.mean_square * torch.eye(12).double())
        root = torch.linalg.cholesky(torch.linalg.inv(prior))
        inputs = torch.cat(
            [(x[:60].double() - moments.mean) @ root, torch.full((60, 1), 0.1**0.5)], 1
        )
        oracle = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=1000)
        oracle.fit(inputs.numpy(), targets[:, 0].numpy())
        found = torch.from_numpy(oracle.coef_[0])
        expected = root @ found[:12]
        torch.testing.assert_close(weight[0].double(), expected, rtol=1e-3, atol=1e-4)
        at_mean = float(bias[0].double() + weight[0].double() @ moments.mean)
        assert at_mean == pytest.approx(float(found[12]) * 0.1**0.5, abs=1e-4)

    def test_answers_improve_the_classifiers(self) -> None:
        x, w, b, targets, start, known, rates = self.problem()
        few = known // 10  # a classifier of four images is not sure of itself
        weight, _ = updated_classifiers(*start, Moments.of(x), few, rates, x[:60], targets)
        wanted = x[60:] @ w.T + b
        for label in (0, 1):
            old, new = (x[60:] @ v[label] for v in (start[0], weight))
            one, two = (np.corrcoef(s, wanted[:, label])[0, 1] for s in (old, new))
            assert two > one + 0.1


class TestAnswers:
    def test_csv(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("image,label,answer\na/1.jpg,cat,yes\n2.jpg,dog,0\n2.jpg,sofa,?\n")
        values, skipped = answers_tensor(read_answers(path, LABELS), ["a/1.jpg", "b/2.jpg"], LABELS)
        assert values.tolist() == [[1, -1, -1], [-1, 0, -1]]
        assert skipped.nonzero().tolist() == [[1, 2]]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1.jpg,cat,maybe", "line 2: the answer 'maybe'"),
            ("1.jpg,cta,yes", "did you mean 'cat'"),
        ],
    )
    def test_wrong_lines_are_named(self, tmp_path: Path, line: str, message: str) -> None:
        path = tmp_path / "a.csv"
        path.write_text(f"image,label,answer\n{line}\n")
        with pytest.raises(InputError, match=message):
            read_answers(path, LABELS)

    def test_label_studio(self, tmp_path: Path) -> None:
        def task(data: dict, *choices: str, cancelled: bool = False) -> dict:
            result = [{"type": "choices", "from_name": "x", "value": {"choices": list(choices)}}]
            return {"data": data, "annotations": [{"result": result, "was_cancelled": cancelled}]}

        path = tmp_path / "export.json"
        path.write_text(
            json.dumps(
                [
                    task({"image": "/data/local-files/?d=photos/1.jpg", "label": "cat"}, "yes"),
                    task({"image": "2.jpg"}, "dog", "sofa"),
                    task({"image": "1.jpg", "label": "dog"}, "no", cancelled=True),
                    {"data": {"image": "1.jpg"}, "annotations": []},
                ]
            )
        )
        values, _ = answers_tensor(read_answers(path, LABELS), ["1.jpg", "2.jpg"], LABELS)
        assert values.tolist() == [[1, -1, -1], [0, 1, 1]]

    def test_an_image_that_may_be_two_is_refused(self) -> None:
        with pytest.raises(InputError, match="several images"):
            answers_tensor([Answer("1.jpg", "cat", 1.0, "here")], ["a/1.jpg", "b/1.jpg"], LABELS)
        with pytest.raises(InputError, match="not in the pool"):
            answers_tensor([Answer("3.jpg", "cat", 1.0, "here")], ["a/1.jpg"], LABELS)

    def test_an_unfinished_line_is_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        file = AnswerFile(path)
        file.add('a "b",c.jpg', "cat", 1.0)
        file.add("2.jpg", "dog", None)
        with path.open("a") as half:
            half.write("3.jpg,so")  # killed here
        AnswerFile(path).add("4.jpg", "sofa", 0.0)
        found = [(a.image, a.label, a.value) for a in read_answers(path, LABELS)]
        assert found == [
            ('a "b",c.jpg', "cat", 1.0),
            ("2.jpg", "dog", None),
            ("4.jpg", "sofa", 0.0),
        ]

    def test_another_file_is_not_written_to(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text("image,split,labels\n")
        with pytest.raises(InputError, match="image,label,answer"):
            AnswerFile(tmp_path / "a.csv")


def test_a_session_keeps_each_answer(tmp_path: Path) -> None:
    asked = [Asked(f"{k}.jpg", "cat", 0.5) for k in range(5)]
    keys = iter("yxNsq")
    lines: list[str] = []
    count = ask(asked, AnswerFile(tmp_path / "a.csv"), lambda: next(keys), lines.append)
    assert count == 3
    found = [(a.image, a.value) for a in read_answers(tmp_path / "a.csv", LABELS)]
    assert found == [("0.jpg", 1.0), ("1.jpg", 0.0), ("2.jpg", None)]
    assert "1/5  0.jpg  cat? (0.50)" in "".join(lines)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggest")
    assert train(write_colours(folder / "data"), folder / "run") == 0
    return folder / "run"


class TestCommand:
    def test_questions_answers_update(self, run: Path, tmp_path: Path, capsys) -> None:
        pool, file = run.parent / "data", tmp_path / "q.csv"
        words = ["suggest", str(run), str(pool)]
        assert main([*words, "--count", "6", "--output", str(file)]) == 0
        lines = file.read_text().splitlines()
        assert len(lines) == 7
        answered = [lines[0], *(line.replace(",,", ",yes,", 1) for line in lines[1:])]
        file.write_text("\n".join(answered) + "\n")
        new = tmp_path / "new"
        assert main([*words, "--answers", str(file), "--update", str(new), "--json"]) == 0
        assert main(["evaluate", str(new)]) == 0
        old, updated = (MultiLabelClassifier.from_pretrained(p).head.fold() for p in (run, new))
        assert not torch.equal(old.weight, updated.weight)

    def test_answers_are_counted_and_learned_once(self, run: Path, tmp_path: Path, capsys) -> None:
        words = ["suggest", str(run), str(run.parent / "data")]
        file, new = tmp_path / "a.csv", tmp_path / "new"
        rows = [("0", "red", "yes"), ("0", "blue", "yes"), ("1", "red", "no")]
        lines = [f"images/{image}.png,{label},{answer}" for image, label, answer in rows]
        file.write_text("image,label,answer\n" + "\n".join(lines) + "\n")
        assert main([*words, "--answers", str(file), "--update", str(new)]) == 0
        before, after = (Cooccurrence.load(p / "counts.json") for p in (run, new))
        grown = dict(zip(after.names, after.known - before.reorder(after.names).known, strict=True))
        assert grown == {"red": 2, "blue": 1, "green": 0}
        pair = [after.names.index(name) for name in ("red", "blue")]
        old = [before.names.index(name) for name in ("red", "blue")]
        assert after.pair_counts[tuple(pair)] == before.pair_counts[tuple(old)] + 1
        graph = LabelGraph.load(new / "graph.json")
        torch.testing.assert_close(
            graph.to_dense(), after.graph("conditional").reorder(graph.names).to_dense()
        )
        assert json.loads((new / "decisions.json").read_text())["notes"][-1].startswith("the class")

        again = ["suggest", str(new), *words[2:], "--answers", str(file)]
        assert main([*again, "--update", str(tmp_path / "newer")]) == 2
        assert "learned from all these answers" in error_of(capsys)
        file.write_text(file.read_text().replace("yes", "no"))
        assert main(again) == 2
        assert "cannot forget it" in error_of(capsys)
        assert main([*again[:3], "--count", "100", "--json"]) == 0
        asked = {(q["image"], q["label"]) for q in json.loads(capsys.readouterr().out)}
        assert not asked & {(f"images/{image}.png", label) for image, label, _ in rows}
        assert main(["decide", str(new)]) == 0
        assert (new / "metrics.json").is_file()
        assert (new / "report.html").is_file()

    def test_options_from_a_file(self, run: Path, tmp_path: Path, capsys) -> None:
        config = tmp_path / "a.yaml"
        config.write_text(f"run: {run}\npool: {run.parent / 'data'}\ncount: 3\n")
        assert main(["suggest", "--config", str(config), "--count", "2", "--json"]) == 0
        assert len(json.loads(capsys.readouterr().out)) == 2
        assert main(["suggest", "--config", str(config), "--print-config"]) == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert SuggestConfig().with_options(printed).count == 3

    def test_images_and_tasks(self, run: Path, tmp_path: Path, capsys) -> None:
        words = ["suggest", str(run), str(run.parent / "data"), "--count", "5"]
        assert main([*words, "--by", "images", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert len(rows) == 5
        assert [r["information"] for r in rows] == sorted(r["information"] for r in rows)[::-1]
        assert main([*words, "--output", str(tmp_path / "tasks.json")]) == 0
        tasks = json.loads((tmp_path / "tasks.json").read_text())
        assert {"image", "label", "probability"} == set(tasks[0]["data"])

    def test_a_session_at_a_terminal(self, run: Path, tmp_path: Path, monkeypatch) -> None:
        master, slave = pty.openpty()
        file = tmp_path / "a.csv"
        with os.fdopen(slave, "r") as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            done = threading.Event()

            def type_keys() -> None:
                os.write(master, b"yns")
                while not done.wait(0.2):  # until it ends, should keys get lost
                    os.write(master, b"q")

            typing = threading.Thread(target=type_keys)
            typing.start()
            words = ["suggest", str(run), str(run.parent / "data"), "--ask", "--count", "9"]
            try:
                assert main([*words, "--answers", str(file)]) == 0
            finally:
                done.set()
                typing.join()
        os.close(master)
        assert [line.rpartition(",")[2] for line in file.read_text().splitlines()[1:]] == [
            *("yes", "no", "skip"),
        ]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--ask"], "--answers answers.csv"),
            (["--ask", "--by", "images", "--answers", "a.csv"], "omit by"),
            (["--count", "0"], "count=0"),
            (["--answers", "nothing.csv"], "nothing.csv"),
            (["--update", "new"], "no answers to learn from"),
        ],
    )
    def test_invalid_arguments_are_refused(
        self, run: Path, tmp_path: Path, capsys, monkeypatch, words: list[str], message: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["suggest", str(run), str(run.parent / "data"), *words]) == 2
        assert message in error_of(capsys)
