"""An Optuna study: a made-up accuracy first, latency on a phone as the second objective.

    python examples/optuna_study.py

Put your own training in the place of ``accuracy_proxy``.
"""

import math
from typing import Any

import optuna

import mnaslat
from mnaslat.predictors import LatencyPredictor, load_pretrained


def accuracy_proxy(graph: mnaslat.Graph) -> float:
    """Larger networks are better, ever less so. Not an accuracy: training takes days."""
    return 1.0 - math.exp(-((graph.madds / 1e8) ** 0.5))


def study(predictor: LatencyPredictor, n_trials: int = 100, seed: int = 0) -> optuna.Study:
    """Search the MnasNet space; ``best_trials`` of the result is the Pareto front."""
    space = mnaslat.load_space("mnasnet")

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        tokens = [
            trial.suggest_int(decision.name, 0, len(decision.choices) - 1)
            for decision in space.decisions
        ]
        graph = mnaslat.lower(space.decode(tokens), predictor.configuration.precision)
        return accuracy_proxy(graph), predictor.predict_ms(graph)

    sampler = optuna.samplers.NSGAIISampler(seed=seed)
    found = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    found.optimize(objective, n_trials=n_trials)
    return found


def main(predictor: Any) -> None:
    """Print the front, the fastest network first."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for trial in sorted(study(predictor).best_trials, key=lambda each: each.values[1]):
        accuracy, latency_ms = trial.values
        print(f"{latency_ms:8.2f} ms   {accuracy:.3f}")


if __name__ == "__main__":
    main(load_pretrained("pixel4-cpu1-fp32"))
