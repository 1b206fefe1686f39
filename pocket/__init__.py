"""A small world where the whole method runs on a laptop: rendered scenes with true labels, and a small SD-family model."""
