"""Self-supervised methods: SimCLR, DCL, VICReg and DINO.

The losses and projection heads are those of lightly.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gatlabel.errors import require_extra

#: From images ``(B, 3, S, S)`` to features ``(B, D)``.
Features = Callable[[Tensor], Tensor]


class Method(nn.Module):
    """A self-supervised loss with its projection head.

    Args:
        width: D of the features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        require_extra("lightly", "pretraining")
        self.width = width

    def prepare(self, encoder: nn.Module) -> None:
        """Creates modules that depend on the encoder; called once, before a state is loaded."""

    def loss(self, encoder: nn.Module, views: Sequence[Tensor], progress: float) -> Tensor:
        """Returns the loss of a batch.

        Args:
            encoder: From images to features ``(B, D)``; trained.
            views: At least two tensors ``(B, 3, S, S)``.
            progress: Completed share of the training, 0 to 1.
        """
        raise NotImplementedError


class Contrastive(Method):
    """Views of one image attract, those of different images repel.

    SimCLR's NT-Xent (Chen et al., ICML 2020, eq. 1), or its decoupled form without the positive
    pair in the denominator (Yeh et al., ECCV 2022, eq. 6), which suits small batches.

    Args:
        width: D of the features.
        decoupled: Whether to use the decoupled form.
        temperature: Temperature of the softmax.
    """

    def __init__(self, width: int, decoupled: bool = True, temperature: float = 0.2) -> None:
        super().__init__(width)
        from lightly.loss import DCLLoss, NTXentLoss
        from lightly.models.modules.heads import SimCLRProjectionHead

        self.projection = SimCLRProjectionHead(width, width, 128)
        self.criterion = (DCLLoss if decoupled else NTXentLoss)(temperature=temperature)

    def loss(self, encoder: nn.Module, views: Sequence[Tensor], progress: float) -> Tensor:
        """Returns the loss of a batch; see :meth:`Method.loss`."""
        first, second = self.projection(encoder(torch.cat(list(views[:2])))).float().chunk(2)
        loss: Tensor = self.criterion(first, second)
        return loss


class Vicreg(Method):
    """Invariance of views, variance and covariance of features (Bardes et al., ICLR 2022, eq. 6).

    Args:
        width: D of the features.
        expanded: Width of the three layers of the expander.
    """

    def __init__(self, width: int, expanded: int | None = None) -> None:
        super().__init__(width)
        from lightly.loss import VICRegLoss
        from lightly.models.modules.heads import VICRegProjectionHead

        size = expanded or min(2048, 4 * width)
        self.projection = VICRegProjectionHead(width, size, size)
        self.criterion = VICRegLoss()

    def loss(self, encoder: nn.Module, views: Sequence[Tensor], progress: float) -> Tensor:
        """Returns the loss of a batch; see :meth:`Method.loss`."""
        first, second = self.projection(encoder(torch.cat(list(views[:2])))).float().chunk(2)
        loss: Tensor = self.criterion(first, second)
        return loss


class Dino(Method):
    """A student matches a moving average of itself (Caron et al., ICCV 2021, eqs. 1 to 4).

    The teacher gets the first two views, the student all of them. The teacher is updated at the
    beginning of each step, from the weights after the previous step.

    Args:
        width: D of the features.
        outputs: Width of the softmax.
        momentum: Initial momentum of the teacher; it rises to 1 along a cosine.
    """

    moved: Tensor

    def __init__(self, width: int, outputs: int = 1024, momentum: float = 0.99) -> None:
        super().__init__(width)
        from lightly.loss import DINOLoss
        from lightly.models.modules.heads import DINOProjectionHead

        with warnings.catch_warnings():  # lightly uses torch's old form of weight norm
            warnings.simplefilter("ignore", FutureWarning)
            self.projection = DINOProjectionHead(width, 512, 128, outputs)
            self.teacher_projection = DINOProjectionHead(width, 512, 128, outputs)
        self.teacher_projection.load_state_dict(self.projection.state_dict())
        self.teacher_projection.requires_grad_(False)
        self.criterion = DINOLoss(outputs, warmup_teacher_temp_epochs=0)
        self.momentum = momentum
        self.teacher: nn.Module | None = None
        self.register_buffer("moved", torch.zeros((), dtype=torch.long))

    def prepare(self, encoder: nn.Module) -> None:
        """Makes the teacher as a copy of the encoder."""
        self.teacher = copy.deepcopy(encoder).requires_grad_(False)

    def loss(self, encoder: nn.Module, views: Sequence[Tensor], progress: float) -> Tensor:
        """Returns the loss of a batch; see :meth:`Method.loss`."""
        if self.teacher is None:
            self.prepare(encoder)
        assert self.teacher is not None
        self.move_teacher(encoder, progress)
        with torch.no_grad():
            taught = self.teacher_projection(self.teacher(torch.cat(list(views[:2])))).float()
        students = [self.projection(encoder(torch.cat(list(views[:2]))))]
        if len(views) > 2:
            students.append(self.projection(encoder(torch.cat(list(views[2:])))))
        size = len(views[0])
        shown = [part for each in students for part in each.float().split(size)]
        loss: Tensor = self.criterion(list(taught.split(size)), shown, epoch=1)
        return loss

    @torch.no_grad()
    def move_teacher(self, encoder: nn.Module, progress: float) -> None:
        """Moves the teacher towards the student, except before the first step."""
        assert self.teacher is not None
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * progress) + 1) / 2
        if self.moved:
            pairs = ((self.teacher, encoder), (self.teacher_projection, self.projection))
            for teacher, student in pairs:
                for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
                    old.lerp_(new.detach(), 1 - momentum)
                for kept, current in zip(teacher.buffers(), student.buffers(), strict=True):
                    kept.copy_(current)
        self.moved += 1


def _simclr(width: int, **options: Any) -> Method:
    return Contrastive(width, decoupled=False, **options)


#: Methods by name; each is called with the width of the features.
METHODS: dict[str, Callable[..., Method]] = {
    "dcl": Contrastive,
    "simclr": _simclr,
    "vicreg": Vicreg,
    "dino": Dino,
}
