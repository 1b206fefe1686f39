"""A small family of models in the layout of Stable Diffusion 1.5, with which the whole method runs on a laptop."""
