"""Variants of the package under the base test."""

from gatlabel.graph.association import NPMI, Conditional, Lift
from tests.graph.tester import VariantTester


class TestConditional(VariantTester):
    variant, options = Conditional, {"threshold": 0.2, "min_support": 2}


class TestNPMI(VariantTester):
    variant, options = NPMI, {"top_k": 3}


class TestLift(VariantTester):
    variant, options = Lift, {"threshold": 1.2}
