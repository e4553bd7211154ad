"""Computes the expected latency in torch, for searches that learn probabilities by gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mnaslat.predictors.compiled.compiled_predictor import SpaceTables
from mnaslat.predictors.compiled.protocol import Compilable
from mnaslat.space import SearchSpace

_TOLERANCE = 1e-2  # of the sum of a decision's probabilities; half precision rounds that much


class ExpectedLatency(nn.Module):
    """Expected milliseconds of a network whose choices are drawn independently.

    Made by ``predictor.differentiable(space)``. Exact for sums of layers with a scale and an
    offset: each form of a part is weighted by its probability, the product of the probabilities of
    the decisions that the part depends on. Other predictors are functions of several sums over
    layers. For them the expected sums are exact, and the result is the function at these sums: a
    first-order approximation, exact if every decision is certain. Gradients use the derivatives of
    the predictor's ``feature_function``, so there is no second derivative.

    The tables are buffers that are not saved with the module's state; single precision unless the
    module is converted.
    """

    def __init__(self, predictor: Compilable, space: SearchSpace) -> None:
        super().__init__()
        self._tables = SpaceTables.of(predictor, space)
        self._names = [decision.name for decision in space.decisions]
        self._sizes = [len(decision.choices) for decision in space.decisions]
        self._space_name = space.name
        for number, part in enumerate(self._tables.parts):
            table = torch.tensor(part.values, dtype=torch.float32)
            self.register_buffer(f"part{number}", table, persistent=False)

    def forward(self, probabilities: Tensor | Sequence[Tensor]) -> Tensor:
        """Compute the expected latency in milliseconds.

        Args:
            probabilities: One tensor for each decision, of shape ``(batch, choices)`` or
                ``(choices,)``; or all of them concatenated in one tensor, of shape ``(batch, total
                choices)`` or ``(total choices,)``. Those of a decision are at least 0 and sum to 1.

        Returns:
            Shape ``(batch,)``, or ``()`` without a batch.

        Raises:
            ValueError: If a shape is wrong or these are no probabilities.
        """
        each = self._split(probabilities)
        batched = [one if one.dim() == 2 else one[None] for one in each]
        features = torch.stack([self._expected(part, batched) for part in range(self._n_parts)])
        latency_ms = self._latency_ms(features.sum(dim=0))
        return latency_ms if each[0].dim() == 2 else latency_ms[0]

    @property
    def _n_parts(self) -> int:
        return len(self._tables.parts)

    def _expected(self, number: int, probabilities: Sequence[Tensor]) -> Tensor:
        """Compute the expected features of one part, shape ``(batch, features)``."""
        table: Tensor = self.get_buffer(f"part{number}")
        part = self._tables.parts[number]
        dtype = torch.promote_types(probabilities[0].dtype, table.dtype)
        chances = torch.ones(len(probabilities[0]), 1, dtype=dtype, device=table.device)
        for position in part.decisions:
            weights = probabilities[position].to(dtype)
            chances = (chances[:, :, None] * weights[:, None, :]).flatten(1)
        return chances @ table.to(dtype)

    def _latency_ms(self, features: Tensor) -> Tensor:
        if self._tables.function is None:
            return features[:, 0] + self._tables.offset_ms
        found: Tensor = _Function.apply(  # type: ignore[no-untyped-call]
            features, self._tables
        )
        return found

    def _split(self, probabilities: Tensor | Sequence[Tensor]) -> list[Tensor]:
        total = sum(self._sizes)
        if isinstance(probabilities, Tensor):
            if probabilities.dim() not in (1, 2) or probabilities.shape[-1] != total:
                raise ValueError(
                    f"Space {self._space_name} has {total} choices in all: expected shape "
                    f"(batch, {total}), got {tuple(probabilities.shape)}."
                )
            each = list(torch.split(probabilities, self._sizes, dim=-1))
        else:
            each = list(probabilities)
            if len(each) != len(self._sizes):
                raise ValueError(
                    f"Space {self._space_name} has {len(self._sizes)} decisions, got probabilities "
                    f"of {len(each)}."
                )
        leading = each[0].shape[:-1]
        for name, size, one in zip(self._names, self._sizes, each, strict=True):
            if one.dim() not in (1, 2) or one.shape != (*leading, size):
                raise ValueError(
                    f"Decision {name} has {size} choices: expected probabilities of shape "
                    f"{(*leading, size)}, got {tuple(one.shape)}."
                )
        self._check(each)
        return each

    def _check(self, each: Sequence[Tensor]) -> None:
        """Check that these are probabilities; logits would give meaningless milliseconds."""
        with torch.no_grad():
            sums = torch.stack([one.sum(dim=-1) for one in each])
            least = torch.stack([one.amin(dim=-1) for one in each])
            right = ((sums - 1.0).abs() <= _TOLERANCE) & (least >= -_TOLERANCE)  # NaN is wrong
            if right.all():
                return
            first, row = (int(index) for index in (~right).reshape(len(each), -1).nonzero()[0])
            found = each[first].reshape(-1, self._sizes[first])[row].tolist()
            raise ValueError(
                f"The probabilities of {self._names[first]} must be at least 0 and sum to 1, got "
                f"{found}. Put a softmax before."
            )


class _Function(torch.autograd.Function):
    """Applies a predictor's function of summed features, with its own derivatives."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, tables: SpaceTables) -> Tensor:
        at = features.detach().cpu().to(torch.float64).numpy()
        ctx.at, ctx.tables = at, tables
        return torch.as_tensor(tables.latency_ms(at)).to(features)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        slopes = torch.as_tensor(ctx.tables.slopes(ctx.at)).to(gradient)
        return gradient[:, None] * slopes, None
