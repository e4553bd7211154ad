"""A differentiable search: gradients decide, with the expected latency in the loss.

    python examples/differentiable_search.py

In a real search ``usefulness`` is the loss of a supernet on training images.
"""

from typing import Any

import torch

import mnaslat
from mnaslat.predictors import load_pretrained


def search(
    predictor: Any, target_ms: float, n_steps: int = 100, seed: int = 0
) -> tuple[mnaslat.Architecture, float]:
    """A network that meets the target, and its predicted milliseconds."""
    space = mnaslat.load_space("mnasnet")
    expected_ms = predictor.differentiable(space)
    generator = torch.Generator().manual_seed(seed)
    logits = [
        torch.zeros(len(decision.choices), requires_grad=True) for decision in space.decisions
    ]
    # Made up: how much each choice helps the accuracy.
    usefulness = [torch.rand(len(one), generator=generator) for one in logits]
    optimizer = torch.optim.Adam(logits, lr=0.05)
    for step in range(n_steps):
        temperature = 1.0 - 0.5 * step / n_steps  # towards a single choice each
        chances = [torch.softmax(one / temperature, dim=0) for one in logits]
        gain = torch.stack([(p * u).sum() for p, u in zip(chances, usefulness, strict=True)])
        latency_ms = expected_ms(chances)
        loss = -gain.sum() + 20.0 * torch.relu(torch.log(latency_ms / target_ms))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tokens = [int(one.argmax()) for one in logits]
    return space.decode(tokens), predictor.predict_ms(space.decode(tokens))


if __name__ == "__main__":
    found, found_ms = search(load_pretrained("pixel4-cpu1-fp32"), target_ms=30.0)
    print(f"{found_ms:.2f} ms")
    for block in found.blocks:
        print(block)
