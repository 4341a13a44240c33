"""The losses of the field under the base test, and against their formulas."""

import inspect
import math

import pytest
import torch

from gatlabel.errors import InputError
from gatlabel.losses import (
    LOSSES,
    BCELoss,
    CELoss,
    DistributionBalancedLoss,
    FocalLoss,
    GRLoss,
    HillLoss,
    LLCtLoss,
    LLRLoss,
    SNLLLoss,
    SPLCLoss,
    TwoWayLoss,
    UsesProgress,
    ZLPRLoss,
    focal_loss,
)
from tests.losses.tester import LossTester
from tests.reference import losses as slow


class TestHillLoss(LossTester):
    loss = HillLoss


class TestSPLCLoss(LossTester):
    loss = SPLCLoss


class TestSPLCLossLater(LossTester):
    loss, progress = SPLCLoss, (0.5, 3)

    def test_soft_labels_lie_between_hard_ones(self, loss_of) -> None:
        """Believed labels count as present: all lead up."""
        z = torch.tensor([[2.0, -2.0]], requires_grad=True)
        loss_of(z, torch.zeros(1, 2)).backward()
        assert z.grad[0, 0] < 0 < z.grad[0, 1]


class TestLLRLoss(LossTester):
    loss = LLRLoss


class TestLLRLossLater(LossTester):
    loss, options, progress = LLRLoss, {"rate": 0.1}, (0.5, 2)
    mixes = alone = False

    def test_soft_labels_lie_between_hard_ones(self, loss_of) -> None:
        """The absent label of largest loss has no gradient."""
        z = torch.tensor([[2.0, 1.0, 0.0, -2.0]], requires_grad=True)
        loss_of(z, torch.tensor([[0.0, 0.0, 0.2, 1.0]])).backward()
        assert z.grad[0, 0] == 0
        assert (z.grad[0, 1:] != 0).all()


class TestLLCtLossLater(LossTester):
    loss, options, progress = LLCtLoss, {"rate": 0.1}, (0.5, 2)
    mixes = alone = False

    def test_soft_labels_lie_between_hard_ones(self, loss_of) -> None:
        """The absent label of largest loss leads up."""
        z = torch.tensor([[2.0, 1.0, 0.0, -2.0]], requires_grad=True)
        loss_of(z, torch.tensor([[0.0, 0.0, 0.2, 1.0]])).backward()
        assert z.grad[0, 0] < 0 < z.grad[0, 1]


class TestGRLoss(LossTester):
    loss = GRLoss

    @pytest.fixture
    def smooth_loss(self, loss_of):
        return detached_gr

    # at the first epoch the weight of an absent entry is nearly the same everywhere


class TestGRLossLater(TestGRLoss):
    progress = (0.7, 5)


def detached_gr(z, y):
    """The loss whose gradient in z is that of :class:`GRLoss`: belief and weight stay fixed."""
    loss = GRLoss()
    base = torch.linspace(-7, 7, 20, dtype=torch.float64).view(5, 4)
    p = base.sigmoid()
    belief, weight = torch.sigmoid(torch.tensor(-2.0)), torch.exp(-(((p - 0.5) / 2) ** 2) / 2)
    known = y != -1
    q = z.sigmoid()
    absent = belief * (1 - q**loss.q_present) / loss.q_present + (1 - belief) * q
    entries = -y * q.log() + (1 - y) * weight * absent
    return torch.where(known, entries, 0.0).sum() / known.sum()


def test_gradient_of_gr_takes_belief_and_weight_as_fixed() -> None:
    z = torch.linspace(-7, 7, 20, dtype=torch.float64).view(5, 4).requires_grad_()
    y = torch.tensor([[1, 0, -1, 0.3]], dtype=torch.float64).repeat(5, 1)
    found = torch.autograd.grad(GRLoss()(z, y), z)[0]
    torch.testing.assert_close(found, torch.autograd.grad(detached_gr(z, y), z)[0])


class TestZLPRLoss(LossTester):
    loss, per = ZLPRLoss, "image"


class TestTwoWayLoss(LossTester):
    loss, per = TwoWayLoss, "batch"


class TestDistributionBalancedLoss(LossTester):
    loss, options = DistributionBalancedLoss, {"rates": 0.2}
    mixes = alone = False


class TestCELossWellPosed(LossTester):
    loss, options, mixes = CELoss, {"form": "well_posed"}, False


class TestCELossPrinted(LossTester):
    loss, signed = CELoss, True


class TestSNLLLossWellPosed(LossTester):
    loss, options = SNLLLoss, {"form": "well_posed"}


class TestSNLLLossPrinted(LossTester):
    loss, signed = SNLLLoss, True
    mixes = alone = False


def rows(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    logits = torch.randn(6, 5, dtype=torch.float64) * 2
    targets = torch.tensor([1, 0, 0, -1, 0.3, 1, 0, 0, 0, 1.0], dtype=torch.float64)
    targets = targets[torch.randperm(30) % 10].view(6, 5)
    targets[5] = 0.0
    return logits, targets


ENTRIES = {
    "hill": (HillLoss, slow.hill, None),
    "hill options": (
        lambda **k: HillLoss(0.5, 1.0, 2.0, **k),
        lambda z, y: slow.hill(z, y, 0.5, 1.0, 2.0),
        None,
    ),
    "splc": (SPLCLoss, lambda z, y: slow.splc(z, y, False), (0.0, 0)),
    "splc later": (SPLCLoss, lambda z, y: slow.splc(z, y, True), (0.3, 1)),
    "gr": (GRLoss, lambda z, y: slow.gr(z, y, 0.0), (0.0, 0)),
    "gr later": (GRLoss, lambda z, y: slow.gr(z, y, 0.75), (0.75, 3)),
    "gr options": (
        lambda **k: GRLoss(0.5, 0.7, **k),
        lambda z, y: slow.gr(z, y, 1.0, 0.5, 0.7),
        (1.0, 4),
    ),
    "ce": (lambda **k: CELoss("well_posed", **k), slow.ce_well_posed, None),
    "snll": (lambda **k: SNLLLoss("well_posed", **k), slow.bce, None),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_each_entry_is_that_of_the_formula(name: str) -> None:
    make, formula, progress = ENTRIES[name]
    logits, targets = rows()
    loss = make(reduction="none")
    if progress is not None:
        loss.set_progress(*progress)
    expected = [
        [formula(z, y) if y >= 0 else 0.0 for z, y in zip(*pair, strict=True)]
        for pair in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    found = loss(logits, targets)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("corrects", [False, True])
@pytest.mark.parametrize("epoch", [0, 1, 4, 30])
def test_large_losses_are_those_of_the_whole_batch(corrects: bool, epoch: int) -> None:
    logits, targets = rows()
    loss = (LLCtLoss if corrects else LLRLoss)(rate=0.05, reduction="none")
    loss.set_progress(0.0, epoch)
    share = min(0.05 * epoch, 1)
    expected = slow.large_loss(logits.tolist(), targets.tolist(), share, corrects)
    torch.testing.assert_close(loss(logits, targets), torch.tensor(expected).double())
    if epoch:
        assert not torch.equal(loss(logits, targets), BCELoss(reduction="none")(logits, targets))
    plain = loss.eval()(logits, targets)
    torch.testing.assert_close(plain, BCELoss(reduction="none")(logits, targets))


def test_equal_large_losses_are_not_all_left_out() -> None:
    loss = LLRLoss(rate=0.25, reduction="none")
    loss.set_progress(0.0, 1)
    assert (loss(torch.zeros(2, 4), torch.zeros(2, 4)) == 0).sum() == 2


def test_ranking_losses_are_their_formulas() -> None:
    logits, targets = rows()
    pairs = list(zip(logits.tolist(), targets.tolist(), strict=True))
    expected = torch.tensor([slow.zlpr(z, y) for z, y in pairs]).double()
    torch.testing.assert_close(ZLPRLoss("none")(logits, targets), expected)
    for temperatures in ((4.0, 1.0), (1.0, 2.0)):
        value = slow.two_way(logits.tolist(), targets.tolist(), *temperatures)
        assert TwoWayLoss(*temperatures)(logits, targets).item() == pytest.approx(value)


def test_two_way_leaves_out_rows_without_positives() -> None:
    logits, targets = torch.randn(3, 4), torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    rows = TwoWayLoss(reduction="sum")
    both = rows._one_way(*rows._terms(logits, targets, targets >= 0), 1)
    first = rows._one_way(*rows._terms(logits[:2], targets[:2], targets[:2] >= 0), 1)
    torch.testing.assert_close(both, first)
    with pytest.raises(InputError, match="no value per entry"):
        TwoWayLoss(reduction="none")


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_distribution_balanced_is_its_formula(gamma: float) -> None:
    logits, targets = rows()
    targets = targets.clamp(min=0)
    rates = [0.5, 0.3, 0.1, 0.02, 0.2]
    pairs = zip(logits.tolist(), targets.tolist(), strict=True)
    expected = torch.tensor([slow.balanced(z, y, rates, gamma) for z, y in pairs]).double()
    found = DistributionBalancedLoss(rates, gamma=gamma, reduction="none")(logits, targets)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    # labels that are never, or always, there
    odd = DistributionBalancedLoss([0.0, 1.0])(torch.randn(3, 2), torch.ones(3, 2))
    assert odd.isfinite()
    with pytest.raises(InputError, match="rates of 2 labels"):
        DistributionBalancedLoss([0.1, 0.2])(torch.zeros(1, 3), torch.zeros(1, 3))
    with pytest.raises(InputError, match="give the frequency of each label"):
        DistributionBalancedLoss([0.1, 2.0])


class TestDocument:
    """The formulas of the seed document: signs and sums as printed."""

    def test_ce(self) -> None:
        logits, targets = rows()
        expected = slow.ce(logits.tolist(), targets.tolist())
        assert CELoss()(logits, targets).item() == pytest.approx(expected)
        assert expected < 0
        # three numbers by hand: p = 1/2 everywhere, two labels present in two images
        value = CELoss()(torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.5, 1.0]]))
        assert value.item() == pytest.approx(0.5 * 2.5 * math.log(0.5) / 2)

    def test_descending_ce_drives_present_labels_out(self) -> None:
        z = torch.zeros(1, 2, requires_grad=True)
        CELoss()(z, torch.tensor([[1.0, 0.0]])).backward()
        # d/dz (1-p) log p = -p(1-p) log p + (1-p)² at p = 1/2
        assert z.grad[0, 0].item() == pytest.approx(0.25 + 0.25 * math.log(2))
        assert z.grad[0, 1].item() == 0

    def test_snll(self) -> None:
        logits, targets = rows()
        expected = slow.snll(logits.tolist(), targets.tolist())
        assert SNLLLoss()(logits, targets).item() == pytest.approx(expected)
        # by hand: z = 0, three labels, p = 1/3
        value = SNLLLoss()(torch.zeros(1, 3), torch.zeros(1, 3)).item()
        assert value == pytest.approx(-1.5 * (math.log(1 / 3) + math.log(2 / 3)))
        sure = SNLLLoss(reduction="none")(torch.tensor([[60.0, 0.0, 0.0]]), torch.zeros(1, 3))
        assert sure[0, 0].item() == pytest.approx(60 - math.log(2), rel=1e-5)  # p rounds to 1

    def test_descending_snll_drives_all_labels_out(self) -> None:
        torch.manual_seed(0)
        z = torch.randn(3, 4, requires_grad=True)
        optimizer = torch.optim.Adam([z], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            SNLLLoss()(z, torch.ones(3, 4)).backward()
            optimizer.step()
        assert bool((z < -5).all())

    def test_well_posed_forms(self) -> None:
        logits = torch.randn(6, 5, dtype=torch.float64)
        hard = (torch.rand(6, 5) < 0.4).double()
        found = CELoss("well_posed")(logits, hard)
        torch.testing.assert_close(found, focal_loss(logits, hard, gamma=1.0))
        soft = torch.rand(6, 5, dtype=torch.float64) * 0.98 + 0.01
        assert CELoss("well_posed")(soft.logit(), soft).item() == pytest.approx(0, abs=1e-12)
        assert CELoss("well_posed", "none")(logits, soft).min() > 0
        torch.testing.assert_close(SNLLLoss("well_posed")(logits, soft), BCELoss()(logits, soft))
        # for labels of 0 and 1 its positive term is the printed one with the sign turned
        ones = torch.ones(6, 5, dtype=torch.float64)
        printed = CELoss("printed", "none")(logits, ones)
        torch.testing.assert_close(CELoss("well_posed", "none")(logits, ones), -printed)
        with pytest.raises(InputError, match="did you mean 'well_posed'"):
            CELoss(form="well-posed")


def test_the_dictionary_has_every_loss_and_each_is_tested() -> None:
    from tests.losses import test_field, test_losses

    tested = {
        getattr(value, "loss", None)
        for value in vars(test_field).values()
        if inspect.isclass(value)
    }
    usual = {type(module) for module in test_losses.LOSSES_AS_MODULES}
    later = {LLCtLoss}
    assert set(LOSSES.values()) <= tested | usual | later
    assert {FocalLoss, BCELoss} <= set(LOSSES.values())


def test_which_losses_change_during_training() -> None:
    changing = {name for name, kind in LOSSES.items() if issubclass(kind, UsesProgress)}
    assert changing == {"splc", "ll_r", "ll_ct", "gr"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HillLoss(peak=0.5), "peak is 0.5: it must be a number from 1 to 1000"),
        (lambda: HillLoss(margin=math.nan), "margin is nan"),
        (
            lambda: SPLCLoss(threshold=1.0),
            "threshold is 1.0: it must be a number from 0 to below 1",
        ),
        (lambda: LLRLoss(rate=2), "rate is 2"),
        (lambda: LLCtLoss(rate=-1), "rate is -1"),
        (lambda: GRLoss(q_present=0), "q_present is 0"),
        (lambda: TwoWayLoss(positive_temperature=0), "positive_temperature is 0"),
        (lambda: DistributionBalancedLoss(0.1, gamma="2"), "gamma is '2'"),
        (lambda: ZLPRLoss("avg"), "unknown reduction 'avg'"),
        (lambda: HillLoss(reduction="avg"), "unknown reduction 'avg'"),
    ],
)
def test_bad_options_are_refused_when_made(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_options_are_shown() -> None:
    assert repr(HillLoss()) == "HillLoss(reduction='mean', margin=1.0, gamma=2.0, peak=1.5)"
