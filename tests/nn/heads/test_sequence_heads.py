"""Autoregressive heads: exhaustive search, gradients, unknown labels, and toys that need order."""

import itertools
import json
import math

import pytest
import torch
from torch import Tensor

from gatlabel.errors import InputError
from gatlabel.losses import SequenceLoss
from gatlabel.model import Model
from gatlabel.nn import SEQUENCE_HEADS, PositionHead, RNNHead, SequenceHead, TransformerHead
from gatlabel.nn.label_sequences import BLOCKED
from gatlabel.tasks import SequenceTask

NAMES, D, S = [*"abcd"], 6, 3
OPTIONS = {"rnn": {"hidden": 8}, "transformer": {"hidden": 8, "heads": 2, "dropout": 0.0}}


def make(kind: str, **options) -> SequenceHead:
    torch.manual_seed(0)
    found = SEQUENCE_HEADS[kind](D, labels=NAMES, length=S, **{**OPTIONS[kind], **options})
    with torch.no_grad():
        for parameter in found.parameters():
            parameter += 0.4 * torch.randn_like(parameter)
    return found.double().eval()


def features_of(head: SequenceHead, rows: int) -> Tensor:
    shape = (rows, D, 2, 3) if head.needs_map else (rows, D)
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)).double()


def all_sequences() -> Tensor:
    """Every sequence of up to S different labels, with its end."""
    rows = []
    for count in range(S + 1):
        for labels in itertools.permutations(range(4), count):
            rows.append([*labels, 4, -1, -1, -1][:S])
    return torch.tensor(rows)


def log_probabilities(head: SequenceHead, feature: Tensor, sequences: Tensor) -> Tensor:
    """Of each sequence, by a sum over its steps."""
    context = head.context(feature[None]).repeat_interleave(len(sequences), 0)
    steps = head.along(context, sequences).log_softmax(-1)
    each = steps.gather(2, sequences.clamp(min=0)[..., None])[..., 0]
    return each.where(sequences >= 0, 0.0).sum(1)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_beam_as_wide_as_all_sequences_is_an_exhaustive_search(kind: str) -> None:
    head = make(kind, beam=64)
    sequences, features = all_sequences(), features_of(head, 5)
    task = SequenceTask("x", NAMES, head)
    with torch.no_grad():
        outputs = head(features)
        decided, scores = task.decide(outputs), task.scores(outputs)
        narrow = {}
        for width in (1, 2):
            head.beam = width
            narrow[width] = task.scores(head(features))
    assert len(sequences) == 1 + 4 + 12 + 24
    for row in range(5):
        found = log_probabilities(head, features[row], sequences)
        assert found.exp().sum().item() == pytest.approx(1, abs=1e-9)
        assert decided[row].tolist() == sequences[found.argmax()].tolist()
        assert scores[row].item() == pytest.approx(found.max().item(), abs=1e-9)
    assert (narrow[1] <= scores + 1e-9).all()


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_beam_of_one_takes_the_largest_logit_of_each_step(kind: str) -> None:
    head = make(kind)
    features = features_of(head, 6)
    outputs = head(features)
    decided, logits = outputs[..., -1].long(), outputs[..., :-1]
    for row in range(6):
        end = False
        for step in range(S):
            if end:
                assert decided[row, step] == -1
                continue
            assert decided[row, step] == logits[row, step].argmax()
            end = bool(decided[row, step] == 4)
        labels = [k for k in decided[row].tolist() if 0 <= k < 4]
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("kind", OPTIONS)
def test_an_image_is_decoded_alike_alone_and_in_a_batch(kind: str, beam: int) -> None:
    head = make(kind, beam=beam)
    features = features_of(head, 7)
    together = head(features)
    alone = torch.cat([head(feature[None]) for feature in features])
    torch.testing.assert_close(together, alone)
    assert head(features[:0]).shape == (0, S, 6)


@pytest.mark.parametrize("alignment", [None, "predicted", "minimal"])
@pytest.mark.parametrize("kind", OPTIONS)
def test_gradients_are_right(kind: str, alignment: str | None) -> None:
    head = make(kind)
    task = SequenceTask("x", NAMES, head, SequenceLoss(alignment))
    targets = task.encode([["b", "a"], ["d", "a", "c"], [], None])
    features = features_of(head, 4).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: task.losses(z, targets)[1][0], features, fast_mode=True
    )
    (found,) = torch.autograd.grad(task.losses(features, targets)[1][0], features)
    assert not found[3].any()
    task.losses(features, targets)[1][0].backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name
        place = int(parameter.grad.abs().argmax())
        flat, step = parameter.data.view(-1), 1e-6
        before = float(flat[place])
        values = []
        for moved in (before + step, before - step):
            flat[place] = moved
            values.append(task.losses(features, targets)[1][0].item())
        flat[place] = before
        slope = (values[0] - values[1]) / (2 * step)
        assert parameter.grad.view(-1)[place].item() == pytest.approx(slope, abs=1e-6), name


@pytest.mark.parametrize("alignment", [None, "predicted", "minimal"])
@pytest.mark.parametrize("kind", OPTIONS)
def test_an_unknown_label_has_no_loss_and_no_gradient(kind: str, alignment: str | None) -> None:
    head = make(kind)
    task = SequenceTask("x", NAMES, head, SequenceLoss(alignment), partly_known=True)
    targets = task.absent(2)  # labels b, a and the end; c is unknown
    targets[0, :3], targets[0, 5] = torch.tensor([1, 0, 4]), -2 - 2
    features = features_of(head, 2)
    (loss,) = task.losses(features, targets)[1]
    loss.backward()
    rows = [head.embedding.weight.grad[2]]
    rows += [head.score.weight.grad[2]] if kind == "transformer" else [head.bias.grad[2]]
    assert not any(row.any() for row in rows)
    with torch.no_grad():
        head.embedding.weight[2] = 100.0
    assert task.losses(features, targets)[1][0].item() == loss.item()


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_saved_model_decodes_alike(kind: str, tmp_path) -> None:
    head = make(kind, beam=2).float()
    assert json.loads(json.dumps(head.config)) == head.config
    model = Model({}, [SequenceTask("x", NAMES, head, partly_known=True)]).eval()
    model.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    features = features_of(head, 3).float()
    assert torch.equal(again.tasks["x"].head(features), head(features))
    assert again.tasks["x"].partly_known
    assert again.tasks["x"].head.beam == 2


def test_mixed_precision_keeps_the_numbers_of_labels() -> None:
    torch.manual_seed(0)
    head = RNNHead(D, labels=1000, length=4, hidden=8).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = head(torch.randn(16, D))
    assert outputs.dtype == torch.float32
    decided = outputs[..., -1].long()
    labels = outputs[..., :-1].argmax(-1)
    assert torch.equal(decided, labels.where(decided >= 0, -1))
    assert decided.max() > 256  # where bfloat16 has no neighbours


def squares(rows: int, seed: int) -> tuple[Tensor, list[list[str]]]:
    """Maps with coloured squares in different columns, and their colours from left to right."""
    generator = torch.Generator().manual_seed(seed)
    maps, names = torch.zeros(rows, D, 2, 5), []
    for row in maps:
        count = int(torch.randint(0, S + 1, (), generator=generator))
        columns = torch.randperm(5, generator=generator)[:count].sort().values.tolist()
        colours = torch.randperm(4, generator=generator)[:count].tolist()
        for column, colour in zip(columns, colours, strict=True):
            row[colour, int(torch.randint(0, 2, (), generator=generator)), column] = 1
        names.append([NAMES[colour] for colour in colours])
    return maps, names


def trained(task: SequenceTask, data, steps: int) -> None:
    task.head.train()
    optimizer = torch.optim.Adam(task.head.parameters(), lr=5e-3)
    for step in range(steps):
        features, sequences = data(48, step)
        (loss,) = task.losses(features, task.encode(sequences))[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    task.head.eval()


def test_a_transformer_learns_the_order_from_left_to_right() -> None:
    torch.manual_seed(0)
    head = TransformerHead(D, labels=NAMES, length=S, hidden=24, heads=4, dropout=0.0)
    task = SequenceTask("x", NAMES, head)
    trained(task, squares, steps=110)
    features, sequences = squares(200, seed=10_000)
    with torch.no_grad():
        found = task.metrics(head(features), task.encode(sequences))
    assert found["exact_match"] > 0.8
    assert found["set_F1"] > 0.95
    assert found["mAP"] > 0.95


def shuffled(rows: int, seed: int) -> tuple[Tensor, list[list[str]]]:
    """Features that show three labels, in an order that nothing tells."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.stack([torch.randperm(4, generator=generator)[:3] for _ in range(rows)])
    features = torch.zeros(rows, D).scatter(1, chosen, 1.0)
    return features, [[NAMES[k] for k in row] for row in chosen.tolist()]


@pytest.mark.parametrize("alignment", ["predicted", "minimal"])
def test_orderless_training_is_not_held_up_by_a_random_order(alignment: str) -> None:
    values = {}
    for each in (None, alignment):
        torch.manual_seed(0)
        head = RNNHead(D, labels=NAMES, length=3, hidden=24)
        task = SequenceTask("x", NAMES, head, SequenceLoss(each))
        trained(task, shuffled, steps=80)
        features, sequences = shuffled(200, seed=10_000)
        values[each] = task.losses(features, task.encode(sequences))[1][0].item()
    # three labels in random order cost log 3! over three steps, whoever knows the set
    assert values[None] > 0.95 * math.log(6) / 3
    assert values[alignment] < 0.1


def test_labels_that_occurred_are_blocked() -> None:
    head = make("rnn")
    logits = head.along(features_of(head, 1), torch.tensor([[2, 0, 1]]))
    assert logits[0, 0].min() > BLOCKED
    assert (logits[0, 1] == BLOCKED).nonzero()[:, 0].tolist() == [2]
    assert (logits[0, 2] == BLOCKED).nonzero()[:, 0].tolist() == [0, 2]


def test_the_probability_to_occur_is_that_of_the_steps_up_to_the_end() -> None:
    task = SequenceTask("x", NAMES, PositionHead(D, labels=NAMES, length=S))
    outputs = torch.randn(1, S, 5)
    outputs[0, 1, 4] = 9.0  # the end
    chances = outputs.softmax(-1)[0].double()
    expected = 1 - (1 - chances[0, :4]) * (1 - chances[1, :4])
    torch.testing.assert_close(task.occurrence(outputs)[0], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam"),
        ({"beam": 65}, "beam"),
        ({"hidden": 0}, "hidden"),
        ({"length": 0}, "length"),
    ],
)
def test_nonsense_is_refused(options: dict[str, int], message: str) -> None:
    for head in (RNNHead, TransformerHead):
        with pytest.raises(InputError, match=message):
            head(D, labels=NAMES, **options)
    with pytest.raises(InputError, match="multiple of 4"):
        TransformerHead(D, labels=NAMES, hidden=6, heads=2)
    with pytest.raises(InputError, match="at least 0"):
        TransformerHead(D, labels=NAMES, dropout=1.0)
    with pytest.raises(InputError, match="takes feature maps"):
        make("transformer")(torch.randn(2, D).double())


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 2])
@pytest.mark.parametrize("kind", OPTIONS)
@pytest.mark.filterwarnings("ignore:The tensor attributes")  # of torch, about nn.LSTM
def test_decoding_is_exported_for_any_number_of_images(kind: str, beam: int) -> None:
    head = make(kind, beam=beam)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(
        head, (features_of(head, 2),), dynamic_shapes=({0: batch},)
    ).module()
    features = features_of(head, 5)
    torch.testing.assert_close(exported(features), head(features))
