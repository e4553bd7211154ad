"""Saves predictors to files and loads them without running code from them."""
