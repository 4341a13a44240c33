"""What a variant of the label graph is: a small record of options that makes a graph of counts."""

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
    """A rule by which counts become a label graph, with its options.

    A subclass is a frozen dataclass whose fields are the options, with their types and defaults.
    Its module imports the standard library only, and NumPy or torch inside :meth:`build`: options
    are listed and checked without them.

    Raises:
        InputError: If an option is not of its type, or out of range.
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
        """Makes the graph.

        Args:
            counts: Counts of the training images.

        Raises:
            InputError: If the counts lack something that the variant needs.
        """
        raise NotImplementedError
