"""A pymoo problem: NSGA-II over a search space, whole generations predicted at once.

python examples/pymoo_problem.py
"""

from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

import mnaslat
from mnaslat.predictors import load_pretrained


class SmallAndFast(Problem):
    """As many multiply-adds, and as few milliseconds, as can be had together."""

    def __init__(self, predictor: Any, space: mnaslat.SearchSpace) -> None:
        self.space = space
        self.latency_ms = predictor.compile(space)  # millions of networks a second
        highest = space.n_choices - 1
        super().__init__(n_var=len(highest), n_obj=2, xl=0, xu=highest, vtype=int)

    def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        # Multiply-adds stand for accuracy here: put your own estimate in their place.
        madds = [mnaslat.lower(self.space.decode(tokens)).madds for tokens in x]
        out["F"] = np.column_stack([-np.array(madds, dtype=float), self.latency_ms(x)])


def front(predictor: Any, n_generations: int = 20, seed: int = 0) -> Any:
    """The Pareto front: ``X`` are tokens, ``F`` multiply-adds (negative) and milliseconds."""
    problem = SmallAndFast(predictor, mnaslat.load_space("mnasnet"))
    repair = RoundingRepair()
    algorithm = NSGA2(
        pop_size=40,
        sampling=IntegerRandomSampling(),
        crossover=SBX(vtype=float, repair=repair),
        mutation=PM(vtype=float, repair=repair),
    )
    return minimize(problem, algorithm, ("n_gen", n_generations), seed=seed)


if __name__ == "__main__":
    result = front(load_pretrained("pixel4-cpu1-fp32"))
    for negative_madds, latency_ms in sorted(result.F.tolist(), key=lambda row: row[1]):
        print(f"{latency_ms:8.2f} ms   {-negative_madds / 1e6:7.1f} M multiply-adds")
