"""Scenes with true labels: rendered with Blender, and composed from cut-outs.

Not published; what is trained on them is.
"""
