"""Cyclic generation."""
