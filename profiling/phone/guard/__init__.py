"""Waits until a phone is fit to be measured."""
