"""Splits, episodes, learners, and the choice of their strength."""

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.covariance import empirical_covariance

from gatlabel.baselines.moments import Moments
from gatlabel.baselines.ridge import ridge_start
from gatlabel.baselines.similarity.sources import source_from_matrix, source_from_vectors
from gatlabel.cli import main
from gatlabel.errors import InputError
from gatlabel.fewshot import (
    FewShotConfig,
    FewShotOptions,
    Knowledge,
    LabelledFeatures,
    drawn_split,
    laso_split,
    named_split,
    run_episodes,
    strengths,
    support_rows,
)
from gatlabel.fewshot.episode_file import EpisodeFile
from gatlabel.fewshot.evaluation import episodes_key
from gatlabel.fewshot.joint_ridge import FADE, PATH, joint_ridge
from gatlabel.fewshot.learners import LEARNERS, scorer_of, shrunk_discriminant, unit_scores
from gatlabel.fewshot.splits import LASO_IDS, LASO_NOVEL
from gatlabel.fewshot.strengths import DEFAULT, Strengths, choose_strengths
from gatlabel.labels import LabelSet
from gatlabel.targets import Targets


def coco_names() -> list[str]:
    """80 names with LaSO's novel labels at their places in the order of category ids."""
    names = [f"label {k}" for k in range(80)]
    for place, name in zip(LASO_IDS, LASO_NOVEL, strict=True):
        names[place] = name
    return names


def alike(images: int = 400, labels: int = 16, groups: int = 4, seed: int = 0):
    """Features, targets and similarity where labels of one group have nearly one classifier."""
    rng = torch.Generator().manual_seed(seed)
    group = torch.arange(labels) % groups
    centre = torch.randn(groups, 24, generator=rng)
    weight = centre[group] + 0.3 * torch.randn(labels, 24, generator=rng)
    features = torch.randn(images, 24, generator=rng)
    score = features @ weight.T + 2 * torch.randn(images, labels, generator=rng)
    targets = (score > score.quantile(0.85, 0)).float()
    similarity = (group[:, None] == group).double().fill_diagonal_(0)
    return features, targets, similarity / similarity.sum(1, keepdim=True)


class TestSplits:
    def test_laso_is_what_its_code_draws(self) -> None:
        random.seed(0)
        seen = set(random.sample(range(80), 64))
        assert tuple(sorted(set(range(80)) - seen)) == LASO_IDS
        assert laso_split(LabelSet(coco_names())).novel == LASO_IDS

    def test_the_laso_split_is_matched_by_name(self) -> None:
        names = sorted(coco_names())
        split = laso_split(LabelSet(names))
        assert {names[place] for place in split.novel} == set(LASO_NOVEL)
        assert len(split.base) == 64
        with pytest.raises(InputError, match="80 labels of COCO"):
            laso_split(LabelSet(names[:-1]))

    def test_novel_labels_have_enough_images(self) -> None:
        present = np.zeros((40, 4))
        for label, count in enumerate((9, 10, 11, 40)):
            present[:count, label] = 1
        targets = Targets(present)
        drawn = {drawn_split(targets, targets, 5, 0.5, 0, e).novel for e in range(20)}
        assert drawn == {(1, 2)}  # 9 are too few, and the last has no negative
        with pytest.raises(InputError, match="no label has 105"):
            drawn_split(targets, targets, 100, 0.5, 0, 0)

    def test_draws_are_functions_of_seed_and_episode(self) -> None:
        targets = Targets((np.random.default_rng(0).random((200, 12)) < 0.3).astype(float))
        draws = [drawn_split(targets, targets, 2, 0.25, 3, e).novel for e in range(6)]
        assert draws == [drawn_split(targets, targets, 2, 0.25, 3, e).novel for e in range(6)]
        assert len(set(draws)) > 1

    def test_names_are_checked(self) -> None:
        labels = LabelSet(["a", "b", "c"])
        assert named_split(labels, ["c"]).base == (0, 1)
        with pytest.raises(InputError, match="repeated"):
            named_split(labels, ["c", "c"])
        with pytest.raises(InputError, match="3 of 3"):
            named_split(labels, ["a", "b", "c"])


def test_support_is_nested_and_of_the_label() -> None:
    targets = (np.random.default_rng(0).random((100, 6)) < 0.3).astype(float)
    one, five = (set(support_rows(targets, [1, 4], K, 0, 2).tolist()) for K in (1, 5))
    assert one < five
    assert len(one) == 2
    alone = set(support_rows(targets, [1], 5, 0, 2).tolist())
    assert alone <= five  # whichever other labels are novel
    assert all(targets[row, 1] for row in alone)


class TestMoments:
    @pytest.mark.parametrize("images", [12, 60])
    def test_against_scikit_learn(self, images: int) -> None:
        x = torch.randn(images, 20, dtype=torch.float64) + 3
        moments = Moments.of(x)
        covariance = torch.from_numpy(empirical_covariance(x.numpy()))
        torch.testing.assert_close(moments.basis.T * moments.variance @ moments.basis, covariance)
        right = torch.randn(3, 20, dtype=torch.float64)
        penalty = torch.tensor([0.1, 1.0, 7.0])
        for row, one in enumerate(penalty.tolist()):
            expected = torch.linalg.solve(covariance + one * torch.eye(20).double(), right[row])
            torch.testing.assert_close(moments.solve(right, penalty)[row], expected)

    def test_refuses_one_image(self) -> None:
        with pytest.raises(InputError, match="two images"):
            Moments.of(torch.ones(1, 3))


class TestLearners:
    def known(self, weight: float, shots: int = 4) -> tuple[Knowledge, torch.Tensor]:
        features, targets, similarity = alike()
        start = ridge_start(features, targets[:, 4:])
        rows = support_rows(targets.numpy(), [0, 1, 2, 3], shots, 0, 0)
        suggested = similarity[:4, 4:] @ start.weight.double()
        moments = Moments.of(features)
        shown = features[rows], targets[rows][:, :4]
        return Knowledge(moments, *shown, suggested, 10.0, weight), features

    def test_similar_at_weight_zero_is_ridge(self) -> None:
        known, features = self.known(0.0)
        ours, ridge = (scorer_of(name, known)(features) for name in ("similar", "ridge"))
        assert torch.equal(ours, ridge)

    def test_similar_is_ridge_about_its_prior(self) -> None:
        """It minimises squared error + n λ |w − m'|², by gradient, in float64."""
        known, _ = self.known(0.3)
        penalty = ridge_start(known.support, known.targets).penalty
        x = known.support.double() - known.support.double().mean(0)
        t = known.targets.double() - known.targets.double().mean(0)
        share = known.targets.double().mean(0)
        prior = 0.3 * (share * (1 - share)).sqrt()[:, None]
        prior = prior * unit_scores(known.suggested, known.moments)
        at = torch.cat([known.support.double().mean(0)[None], torch.eye(24).double()])
        scores = scorer_of("similar", known)(at + known.support.double().mean(0) * 0)
        weight = (scores[1:] - scorer_of("similar", known)(torch.zeros(1, 24))).T
        gradient = (weight @ x.T - t.T) @ x / len(x) + penalty * (weight - prior)
        assert float(gradient.abs().max()) < 1e-8

    @pytest.mark.parametrize(("population", "shots"), [(0.1, 4), (3.0, 4), (1.0, 20)])
    def test_similar_with_the_training_images_is_weighted_least_squares(
        self, population: float, shots: int
    ) -> None:
        """All training images are rows with target 0 and weight γ / N, in the definition."""
        known, features = self.known(0.3, shots)
        known = dataclasses.replace(known, population=population)
        scorer = scorer_of("similar", known)
        weight = (scorer(torch.eye(24)) - scorer(torch.zeros(1, 24))).T
        count = len(known.support)
        fade = FADE / (count + FADE)
        share = known.targets.double().mean(0)
        prior = 0.3 * (share * (1 - share)).sqrt()[:, None]
        prior = prior * unit_scores(known.suggested, known.moments)
        rows = torch.cat([known.support, features]).double()
        x = torch.cat([rows, torch.ones(len(rows), 1)], 1)
        t = torch.cat([known.targets.double(), torch.zeros(len(features), 4)])
        each = torch.full((len(rows),), population * fade / len(features), dtype=torch.float64)
        each[:count] = 1 / count
        penalty = PATH / population * known.moments.mean_square * fade * torch.eye(25).double()
        penalty[24, 24] = 0  # the bias is free
        towards = torch.cat([prior, torch.zeros(4, 1)], 1) @ penalty
        solved = torch.linalg.solve(x.T * each @ x + penalty, (x.T * each @ t).T.add(towards).T)
        torch.testing.assert_close(weight, solved[:24].T)

    def test_many_images_give_the_free_classifier(self) -> None:
        features, targets, _ = alike()
        x = features.double() - features.double().mean(0)
        free = torch.linalg.lstsq(x, targets[:, :2].double()).solution.T
        moments, prior, gaps = Moments.of(features), torch.randn(2, 24), []
        for times in (5, 50, 500):  # the same images, shown many times
            shown, wanted = features.repeat(times, 1), targets.repeat(times, 1)[:, :2]
            found = joint_ridge(moments, shown, wanted, prior, 0.3)
            gaps.append(float((found - free).norm()))
        assert gaps[0] > gaps[1] > 2 * gaps[2]
        assert gaps[0] > 4 * gaps[2]

    def test_unknown_targets_have_no_influence(self) -> None:
        known, _ = self.known(0.0)
        targets = known.targets.clone()
        targets[0, 0] = -1
        weights = joint_ridge(known.moments, known.support, targets, known.suggested, 0.3)
        kept = joint_ridge(known.moments, known.support, known.targets, known.suggested, 0.3)
        assert torch.equal(weights[1:], kept[1:])
        assert not torch.equal(weights[0], kept[0])

    def test_without_images_only_the_suggestion_counts(self) -> None:
        known, features = self.known(0.3, shots=0)
        scores = scorer_of("similar", known)(features)
        wanted = (features.double() - known.moments.mean) @ known.suggested.T
        assert torch.equal(scores.argsort(0), wanted.argsort(0))
        for name in set(LEARNERS) - {"similar"}:
            with pytest.raises(InputError, match=name):
                scorer_of(name, known)

    def test_discriminant_between_its_limits(self) -> None:
        features, _, _ = alike()
        moments = Moments.of(features)
        shown, prior = torch.randn(2, 24).double(), torch.randn(2, 24).double()
        far = shrunk_discriminant(moments, shown, prior, 1e9)
        torch.testing.assert_close(far, prior, rtol=1e-4, atol=1e-6)
        covariance = torch.from_numpy(empirical_covariance(features.double().numpy()))
        free = torch.linalg.solve(covariance, (shown - moments.mean).T).T
        near = shrunk_discriminant(moments, shown, prior, 1e-9)
        torch.testing.assert_close(near, free, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("name", sorted(LEARNERS))
    def test_they_learn(self, name: str) -> None:
        known, features = self.known(0.2, shots=10)
        targets = alike()[1][:, :4]
        scores = scorer_of(name, known)(features)
        assert scores.shape == targets.shape
        gap = [
            float(s[t == 1].mean() - s[t == 0].mean())
            for s, t in zip(scores.T, targets.T, strict=True)
        ]
        assert min(gap) > 0


class TestStrengths:
    def chosen(self, labels: int, **more: bool) -> Strengths:
        features, targets, similarity = alike()
        part = targets[:, :labels], similarity[:labels, :labels]
        return choose_strengths(features, *part, [0, 1, 2], 4, **more)

    def test_without_enough_base_labels_it_is_the_default(self) -> None:
        assert set(self.chosen(2).population.values()) == {DEFAULT}
        assert set(self.chosen(2, with_novel=True).population.values()) == {0.0}
        assert set(self.chosen(2).weight.values()) == {0.0}

    def test_soft_labels_are_present_from_one_half_on(self) -> None:
        features, targets, similarity = alike()
        soft = torch.where(targets == 1, 0.7, 0.2)
        found = [choose_strengths(features, y, similarity, [0, 1, 2], 4) for y in (targets, soft)]
        assert found[0] == found[1]

    def test_gains_that_may_be_chance_leave_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One label gains much from γ = 3 and the others nothing; then all gain the same."""
        columns = [strengths.POPULATIONS.index(gamma) for gamma in (DEFAULT, 3.0)]
        for gains, wanted in (([0.5, 0, 0, 0], DEFAULT), ([0.1, 0.11, 0.1, 0.12], 3.0)):
            found = np.zeros((4, len(strengths.POPULATIONS)))
            found[:, columns[0]], found[:, columns[1]] = 0.2, 0.2 + np.array(gains)
            monkeypatch.setattr(strengths, "_by_label", lambda trials, cases, f=found: f)
            assert strengths._population([], DEFAULT) == wanted


class TestEpisodes:
    def data(self) -> tuple[LabelledFeatures, torch.Tensor]:
        features, targets, similarity = alike(800)
        labels = LabelSet([f"label {k}" for k in range(16)])
        return (
            LabelledFeatures(labels, features[:400], targets[:400], features[400:], targets[400:]),
            similarity,
        )

    def test_similar_labels_help_and_random_ones_do_not(self) -> None:
        data, similarity = self.data()
        learners = ("ridge", "lda", "similar")
        options = FewShotOptions(shots=(0, 1), episodes=4, learners=learners)
        right = run_episodes(data, source_from_matrix("graph", similarity), options)
        wrong = similarity[torch.randperm(16)][:, torch.randperm(16)].fill_diagonal_(0)
        random_ = run_episodes(data, source_from_matrix("graph", wrong), options)
        assert right.difference("ridge", 1).mean > 5
        assert right.interval("similar", 0).mean > random_.interval("similar", 0).mean + 10
        gaps = [abs(random_.difference(other, 1).mean) for other in ("ridge", "lda")]
        assert min(gaps) < 8  # it is between them, where similar labels have no weight
        assert all(0 <= one.weight[1] <= 1 for one in right.strengths)

    def test_soft_labels_are_drawn_from_the_images_that_show_them(self) -> None:
        data, similarity = self.data()
        soft = torch.where(data.targets == 1, 0.7, 0.2)
        rows = [support_rows(y.numpy(), [0, 5], 2, 0, 0) for y in (data.targets, soft)]
        np.testing.assert_array_equal(*rows)
        judged = torch.where(data.judged_targets == 1, 0.9, 0.1)
        given = LabelledFeatures(data.labels, data.features, soft, data.judged, judged)
        options = FewShotOptions(shots=(1,), episodes=2, learners=("ridge", "similar"))
        found = run_episodes(given, source_from_matrix("graph", similarity), options)
        assert found.interval("ridge", 1).mean > 0

    def test_novel_labels_are_unknown_in_base_training(self) -> None:
        """What the novel labels of images that are not shown are changes nothing."""
        data, _ = self.data()
        options = FewShotOptions(shots=(2,), episodes=2, novel=("label 0", "label 5"))
        rows = [support_rows(data.targets.numpy(), [0, 5], 2, 0, e).tolist() for e in (0, 1)]
        shown = sorted({row for one in rows for row in one})
        other = data.targets.clone()
        hidden = torch.ones(len(other), dtype=torch.bool)
        hidden[shown] = False
        kept = other[:, 0] == 1  # the draw is among these
        other[hidden & ~kept, 0] = -1
        source = source_from_vectors("names", torch.randn(16, 5))
        changed = LabelledFeatures(
            data.labels, data.features, other, data.judged, data.judged_targets
        )
        one, two = (run_episodes(d, source, options) for d in (data, changed))
        assert one.values == two.values

    def test_intervals_are_paired(self) -> None:
        data, _ = self.data()
        result = run_episodes(
            data, None, FewShotOptions(shots=(1,), episodes=3, learners=("ridge", "lda"))
        )
        gap = np.array(result.values["lda", 1]) - np.array(result.values["ridge", 1])
        found = result.difference("ridge", 1, "lda")
        assert found.mean == pytest.approx(100 * gap.mean())
        half = 4.302652729911275 * 100 * gap.std(ddof=1) / 3**0.5  # t at 2 degrees of freedom
        assert found.high - found.mean == pytest.approx(half)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"shots": ()}, "shots"),
            ({"episodes": 1}, "episodes=1"),
            ({"learners": ("rigde",)}, "did you mean 'ridge'"),
            ({"novel": 1.5}, "novel=1.5"),
            ({"novel": 2}, "novel=2"),
        ],
    )
    def test_options_are_checked(self, options: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            FewShotOptions(**options)

    def test_zero_shots_need_similarity(self) -> None:
        data, _ = self.data()
        with pytest.raises(InputError, match="zero shots"):
            run_episodes(data, None, FewShotOptions(shots=(0,), episodes=2))

    def test_episodes_go_on_after_a_kill(self, tmp_path: Path) -> None:
        data, similarity = self.data()
        source = source_from_matrix("kinds", similarity)
        options = FewShotOptions(shots=(0, 1), episodes=3, learners=("ridge", "similar"))
        key = episodes_key(data, source, options)
        whole = run_episodes(data, source, options, EpisodeFile(tmp_path / "a.jsonl", key))
        lines = (tmp_path / "a.jsonl").read_text().splitlines(keepends=True)
        cut = tmp_path / "cut.jsonl"
        cut.write_text("".join(lines[:2]) + lines[2][:50])  # killed while the second was written
        kept = EpisodeFile(cut, key)
        assert len(kept.finished) == 1
        assert run_episodes(data, source, options, kept).to_dict() == whole.to_dict()
        assert cut.read_text() == "".join(lines)
        more = dataclasses.replace(options, episodes=4)
        assert episodes_key(data, source, more) == key
        other = dataclasses.replace(options, seed=1)
        assert not EpisodeFile(cut, episodes_key(data, source, other)).finished


def test_the_learners_of_the_options_are_those_there_are() -> None:
    assert FewShotOptions().learners == tuple(LEARNERS)


def test_options_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "a.yaml"
    config.write_text("shots: 1,2\nnovel: [cat, dog]\nlearners: ridge\nsimilarity: none\n")
    words = ["fewshot", "--config", str(config), "--print-config", "--shots", "3"]
    assert main([*words, "--learners", "ridge,lda"]) == 0
    found = FewShotConfig().with_options(yaml.safe_load(capsys.readouterr().out))
    assert (found.shots, found.novel) == ((3,), ("cat", "dog"))
    assert found.learners == ("ridge", "lda")
    config.write_text("shotz: 1\n")
    assert main(words) == 2
    assert "did you mean 'shots'" in capsys.readouterr().err
