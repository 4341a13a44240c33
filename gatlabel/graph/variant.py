"""The base class of graph variants: a record of options that builds a graph from counts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from gatlabel.values import of_type

if TYPE_CHECKING:
    from gatlabel.graph.counts import Counts
    from gatlabel.graph.label_graph import LabelGraph


@dataclass(frozen=True)
class Variant:
    """A rule that builds a label graph from counts, with its options.

    A subclass is a frozen dataclass whose fields are the options, with their types and defaults.
    The module of a subclass imports the standard library only, and NumPy or torch inside
    :meth:`build`, so that options can be listed and checked without them.

    Raises:
        InputError: If an option has the wrong type or is out of range.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        for option, hint in self.option_types().items():
            if hint is not Any:
                value = of_type(getattr(self, option), option, hint)
                object.__setattr__(self, option, value)

    @classmethod
    def option_types(cls) -> dict[str, Any]:
        """Returns the type of each option by its name."""
        hints = get_type_hints(cls)
        return {field.name: hints[field.name] for field in dataclasses.fields(cls)}

    def build(self, counts: Counts) -> LabelGraph:
        """Builds the graph.

        Args:
            counts: Counts of the training images.

        Raises:
            InputError: If the counts lack data that the variant needs.
        """
        raise NotImplementedError
