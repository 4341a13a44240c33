"""Variants of the package under the base test."""

from gatlabel.graph.variants import conditional, lift, npmi
from tests.graph.tester import VariantTester


class TestConditional(VariantTester):
    variant, options = conditional, {"threshold": 0.2, "min_support": 2}


class TestNPMI(VariantTester):
    variant, options = npmi, {"top_k": 3}


class TestLift(VariantTester):
    variant, options = lift, {"threshold": 1.2}
