"""Transforms of images with their boxes, masks or labels."""
