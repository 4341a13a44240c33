import numpy as np

from gatlabel.report.selection import Mistake, probabilities, sample, worst_mistakes

HALF = np.array(0.5)


def test_sample_is_distinct_sorted_and_the_same_each_time() -> None:
    drawn = sample(100, 12)
    assert len(set(drawn.tolist())) == 12
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, sample(100, 12))
    np.testing.assert_array_equal(sample(3, 12), [0, 1, 2])


def test_mistakes_equal_a_slow_search() -> None:
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 3, (40, 6))
    targets = rng.choice([0.0, 1.0, 0.3, 0.7, -1.0], (40, 6))
    threshold = rng.uniform(0.2, 0.8, 6)
    for present in (False, True):
        wrong = []
        for i in range(40):
            for k in range(6):
                predicted = 1 / (1 + np.exp(-logits[i, k])) >= threshold[k]
                true = targets[i, k] >= 0.5
                if targets[i, k] >= 0 and true == present and predicted != true:
                    wrong.append((logits[i, k] if present else -logits[i, k], i, k))
        expected, images, labels = [], [], []
        for _, i, k in sorted(wrong):
            if i not in images and labels.count(k) < 2:
                expected.append(Mistake(i, k))
                images.append(i)
                labels.append(k)
        found = worst_mistakes(logits, targets, threshold, present=present, most=7)
        assert found == expected[:7]
        assert len(found) == 7


def test_saturated_scores_are_still_ranked() -> None:
    logits = np.array([[50.0], [90.0], [70.0]])  # all have probability 1.0 in float64
    assert len(set(probabilities(logits).ravel())) == 1
    found = worst_mistakes(logits, np.zeros((3, 1)), HALF, present=False, most_per_label=3)
    assert [mistake.image for mistake in found] == [1, 2, 0]


def test_unknown_targets_are_not_mistakes() -> None:
    logits = np.array([[9.0, -9.0]])
    targets = np.full((1, 2), -1.0)
    for present in (False, True):
        assert worst_mistakes(logits, targets, HALF, present=present) == []


def test_probabilities_do_not_overflow() -> None:
    np.testing.assert_allclose(
        probabilities(np.array([-1e4, -2.0, 0.0, 2.0, 1e4])),
        [0, 1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2)), 1],
    )
