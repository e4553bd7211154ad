"""Loads images with labels: built-in sets, array files and folders of images."""
