"""Composites: photograph-like scenes for the reviewer, put together from cut-outs and backdrops; `synthetic compose`
writes them.
"""
