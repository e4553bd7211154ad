"""Compiles predictors of a search space for fast and differentiable prediction."""
