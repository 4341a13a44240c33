"""The kinds of tasks: absent targets, losses against definitions, metrics against scikit-learn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor
from torch.nn import functional as F

from gatlabel.decisions import Decision
from gatlabel.errors import InputError
from gatlabel.graph import Cooccurrence
from gatlabel.losses.values import VALUE_LOSSES
from gatlabel.metrics import evaluate_scores
from gatlabel.nn import GATHead, LinearHead
from gatlabel.nn.heads.positions import PositionHead
from gatlabel.tasks import TASKS, MultiClassTask, MultiLabelTask, RegressionTask, SequenceTask, Task
from gatlabel.tasks.task import all_absent, by_name

NAMES = ["a", "b", "c"]
WIDTH = 5


def make(kind: str) -> tuple[Task, Tensor]:
    """A task of each kind with targets of 6 images, of which some are absent and some in part."""
    torch.manual_seed(0)
    head = LinearHead(WIDTH, labels=NAMES)
    if kind == "multilabel":
        targets = torch.randint(0, 2, (6, 3)).float()
        targets[1, 0] = targets[4] = -1
        return MultiLabelTask("x", NAMES, head), targets
    if kind == "multiclass":
        targets = torch.randint(0, 3, (6,))
        targets[4] = -1
        return MultiClassTask("x", NAMES, head), targets
    if kind == "regression":
        targets = torch.randn(6, 3) * 3 + 10
        targets[1, 0] = targets[4] = torch.nan
        return RegressionTask.standardised("x", NAMES, head, targets), targets
    task = SequenceTask("x", NAMES, PositionHead(WIDTH, labels=NAMES, length=3))
    return task, task.encode([["a"], ["c", "a", "b"], [], ["b", "c"], None, ["a", "b"]])


def random_outputs(task: Task, rows: int) -> Tensor:
    return task.head(torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("kind", TASKS)
def test_rows_without_targets_contribute_nothing(kind: str) -> None:
    """Neither to the loss nor to any gradient: both are those of the other rows alone."""
    task, targets = make(kind)
    assert all_absent(task, targets).tolist() == [False] * 4 + [True, False]
    features, rows = torch.randn(6, WIDTH, requires_grad=True), [0, 1, 2, 3, 5]
    _, (loss,) = task.losses(features, targets)
    _, (alone,) = task.losses(features.detach()[rows], targets[rows])
    assert torch.allclose(loss, alone)
    assert not torch.autograd.grad(loss, features, retain_graph=True)[0][4].any()
    parameters = list(task.head.parameters())
    both = (torch.autograd.grad(each, parameters) for each in (loss, alone))
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(*both, strict=True))


@pytest.mark.parametrize("kind", TASKS)
def test_a_batch_without_targets_has_a_loss_of_exactly_0(kind: str) -> None:
    task, _ = make(kind)
    features = torch.randn(4, WIDTH, requires_grad=True)
    targets = task.absent(4)
    assert targets.shape[1:] == make(kind)[1].shape[1:]
    assert targets.dtype == make(kind)[1].dtype
    assert all_absent(task, targets).all()
    _, (loss,) = task.losses(features, targets)
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in (features, *task.head.parameters()))


@pytest.mark.parametrize("kind", TASKS)
def test_the_loss_is_that_of_the_definition(kind: str) -> None:
    task, targets = make(kind)
    features = torch.randn(6, WIDTH)
    outputs, (loss,) = task.losses(features, targets)
    known = task.known(targets)
    if kind == "multilabel":
        expected = F.binary_cross_entropy_with_logits(outputs[known], targets[known])
    elif kind == "regression":
        z = (targets.numpy() - np.nanmean(targets, 0)) / np.nanstd(targets.numpy(), 0)
        expected = np.nanmean((outputs.detach().numpy() - z) ** 2)
    else:
        expected = F.cross_entropy(outputs[known], targets[known])
    assert loss.item() == pytest.approx(torch.as_tensor(expected).item(), rel=1e-5)


def test_the_gradient_of_nan_outputs_without_target_is_0() -> None:
    outputs = torch.tensor([[1.0, 2.0], [math.nan, math.inf]], requires_grad=True)
    for loss, targets in (
        (TASKS["multiclass"]("x", ["a", "b"], torch.nn.Identity()).loss, torch.tensor([1, -1])),
        *(
            (each, torch.tensor([[0.0, 1.0], [math.nan, math.nan]]))
            for each in VALUE_LOSSES.values()
        ),
    ):
        outputs.grad = None
        loss(outputs, targets).backward()
        assert outputs.grad[0].abs().sum() > 0
        assert torch.equal(outputs.grad[1], torch.zeros(2))


@pytest.mark.parametrize("loss", VALUE_LOSSES)
def test_losses_of_values_have_right_gradients(loss: str) -> None:
    predicted = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    values = torch.randn(3, 2, dtype=torch.float64)
    values[1, 1] = torch.nan
    assert torch.autograd.gradcheck(lambda z: VALUE_LOSSES[loss](z, values), predicted)


def test_multilabel_metrics_and_decisions() -> None:
    task, targets = make("multilabel")
    outputs = random_outputs(task, 6)
    found = task.metrics(outputs, targets)
    assert found.items() >= evaluate_scores(outputs, targets, NAMES).metrics.items()
    assert found["decision_OF1"] == found["OF1"]  # at 0.5
    limits = dict(zip(NAMES, [0.0, 1.0, 0.5], strict=True))
    task.decision = Decision.fixed(task.labels, limits)
    assert torch.equal(task.decide(outputs)[:, 0], torch.ones(6))
    assert not task.decide(outputs)[:, 1].any()


def test_soft_targets_are_scored_as_present_from_one_half() -> None:
    task, targets = make("multilabel")
    outputs = random_outputs(task, 6)
    soft = torch.where(targets == 1, 0.7, torch.where(targets == 0, 0.3, targets))
    assert task.score(outputs, soft) == task.score(outputs, targets)
    assert task.metrics(outputs, soft) == task.metrics(outputs, targets)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_multiclass_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    task = MultiClassTask("x", [*"abcde"], torch.nn.Identity())
    outputs, true = (
        torch.from_numpy(rng.normal(size=(50, 5))),
        torch.from_numpy(rng.integers(0, 4, 50)),
    )
    found = task.metrics(outputs, torch.cat([true[:40], torch.full((10,), -1)]))
    predicted = outputs.argmax(1)[:40]
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true[:40], predicted))
    assert found["macro_recall"] == pytest.approx(sk.balanced_accuracy_score(true[:40], predicted))
    nothing = task.metrics(outputs, torch.full((50,), -1))
    assert all(math.isnan(value) for value in nothing.values())


def test_regression_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.normal(2, 3, size=(40, 2)))
    task = RegressionTask("x", ["a", "b"], torch.nn.Identity(), offset=[1, 2], scale=[2, 0.5])
    outputs = torch.from_numpy(rng.normal(size=(40, 2)))
    values = outputs.numpy() * [2, 0.5] + [1, 2]
    found = task.metrics(outputs, true)
    assert found["MAE"] == pytest.approx(sk.mean_absolute_error(true, values))
    assert found["RMSE"] == pytest.approx(sk.root_mean_squared_error(true, values))
    assert found["R2"] == pytest.approx(sk.r2_score(true, values))
    true[30:, 0] = torch.nan
    alone = sk.r2_score(true[:30, 0], values[:30, 0]), sk.r2_score(true[:, 1], values[:, 1])
    assert task.metrics(outputs, true)["R2"] == pytest.approx(np.mean(alone))


def test_sequences_are_decided_without_repeats_and_scored() -> None:
    task = SequenceTask("x", NAMES, PositionHead(WIDTH, labels=NAMES, length=3))
    outputs = torch.tensor(
        [[[3.0, 2, 1, 0], [3, 2, 1, 0], [0, 0, 0, 9]], [[0, 0, 0, 9.0], [9, 0, 0, 0], [9, 0, 0, 0]]]
    )
    decided = task.decide(outputs)
    assert decided.tolist() == [[0, 1, 3], [3, -1, -1]]
    assert [task.names(row) for row in decided] == [["a", "b"], []]
    chances = outputs.softmax(-1)
    expected = [chances[0, 0, 0] * chances[0, 1, 1] * chances[0, 2, 3], chances[1, 0, 3]]
    assert torch.allclose(task.scores(outputs).exp(), torch.stack(expected))
    found = task.metrics(outputs, task.encode([["b", "a"], []]))
    assert found == {"exact_match": 0.5, "exact_set": 1.0, "set_F1": 1.0, "edit_distance": 1.0,
                     "mAP": 1.0}  # fmt: skip
    halves = task.metrics(outputs, task.encode([["a", "b"], ["c"]]))
    assert (halves["exact_match"], halves["set_F1"], halves["edit_distance"]) == (0.5, 0.5, 0.5)
    assert math.isnan(task.metrics(outputs, task.absent(2))["set_F1"])


def growing(outputs: Tensor, targets: Tensor, epoch: int) -> Tensor:
    return (outputs - targets).square().mean() * epoch


class Growing(torch.nn.Module):
    def forward(self, outputs: Tensor, targets: Tensor, *, epoch: int = 0) -> Tensor:
        return growing(outputs, targets, epoch)


@pytest.mark.parametrize("loss", [growing, Growing()])
def test_losses_that_change_are_passed_the_epoch(loss: Callable[..., Tensor]) -> None:
    task = MultiLabelTask("x", NAMES, LinearHead(WIDTH, labels=NAMES), loss)
    features, targets = torch.randn(2, WIDTH), torch.ones(2, 3)
    first, third = (task.losses(features, targets, epoch)[1][0].item() for epoch in (1, 3))
    assert third == pytest.approx(3 * first)


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: MultiLabelTask("x y", NAMES, torch.nn.Identity()), "a name begins with a letter"),
        (lambda: MultiLabelTask("x", NAMES[:2], LinearHead(4, labels=3)), "head has 3 outputs"),
        (lambda: MultiLabelTask("x", NAMES, LinearHead(4, labels=[*"acb"])), "other labels"),
        (
            lambda: MultiLabelTask("x", [*"xyz"], LinearHead(4, labels=3), graph=graph()),
            "the graph of the task 'x' has other labels",
        ),
        (lambda: RegressionTask("x", ["a"], torch.nn.Identity(), scale=[0.0]), "above 0"),
        (lambda: RegressionTask("x", ["a"], torch.nn.Identity(), offset=[1, 2]), "give 1 finite"),
        (lambda: SequenceTask("x", NAMES, torch.nn.Identity()), "give length"),
        (
            lambda: SequenceTask("x", NAMES, PositionHead(4, labels=3, length=2)).encode([NAMES]),
            "more than length=2",
        ),
        (lambda: by_name([]), "at least one"),
        (lambda: by_name([make("multilabel")[0], make("regression")[0]]), "two tasks are called"),
    ],
)
def test_invalid_arguments_are_refused(make_it: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_it()


def graph() -> object:
    return Cooccurrence.from_targets(np.eye(3), NAMES).graph("complete")


def test_a_task_may_have_a_head_over_its_own_graph() -> None:
    own = graph()
    task = MultiLabelTask("x", NAMES, GATHead(WIDTH, graph=own, hidden=4, heads=2), graph=own)
    assert task.losses(torch.randn(2, WIDTH), torch.ones(2, 3))[0].shape == (2, 3)
    assert "GATHead" in repr(task)
