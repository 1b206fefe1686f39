"""RFFT (arXiv:2408.00418): tune a ControlNet on the reviewer's feedback, so that more of what it draws can be published, without making the pictures dull.

A plain library on torch and diffusers. losses holds the method's three losses, rollout draws and takes the differentiable steps, adapter is what learns
and what is written, evaluate measures the same pictures before and after, train.Run does it all as a config says.
"""
