"""The interface of models for the engine: shared features, and the outputs of each task."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gatlabel.nn import Head
from gatlabel.nn.identity import HasIdentity, Identity
from gatlabel.tasks import Task

#: Inputs by name, or a tensor if there is only one.
Inputs = Tensor | Mapping[str, Tensor]


class Network(HasIdentity):
    """Encoders of the inputs, and a head for each task on the shared features."""

    def identity(self) -> Identity:
        """The names of tasks and outputs; a state with other names is refused."""
        return {"tasks": {name: list(task.outputs) for name, task in self.tasks.items()}}

    @property
    def encoders(self) -> Mapping[str, nn.Module]:
        """The encoders by the names of their inputs."""
        raise NotImplementedError

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name, each with its head and its loss."""
        raise NotImplementedError

    def features(self, inputs: Inputs) -> Tensor:
        """Returns the shared features ``(B, D)`` or ``(B, D, h, w)``."""
        raise NotImplementedError

    def task_features(self, features: Tensor) -> dict[str, Tensor]:
        """Returns the input of each task's head, computed from the shared features."""
        return dict.fromkeys(self.tasks, features)

    def all_heads(self) -> list[nn.Module]:
        """Returns the heads of the tasks, and what else has classifiers."""
        return [task.head for task in self.tasks.values()]

    def outputs(self, inputs: Inputs) -> dict[str, Tensor]:
        """Returns the outputs of each task, of B rows each."""
        own = self.task_features(self.features(inputs))
        return {name: task.head(own[name]) for name, task in self.tasks.items()}

    def parameters_with_role(self, role: str) -> list[nn.Parameter]:
        """Returns the parameters of all heads with a role; see ``Head.param_groups``."""
        own = [head for head in self.all_heads() if isinstance(head, Head)]
        return [p for head in own for p in head.param_groups()[role]]
