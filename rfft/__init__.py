"""RFFT (arXiv:2408.00418): tune a ControlNet on the reviewer's feedback, so that more of what it draws can be
published, without making the pictures dull.

A plain library on torch and diffusers. losses holds the method's three losses, rollout draws and takes the
differentiable steps, objective puts the two together, adapter is what learns and what is written, evaluate measures the
same pictures before and after, memory and estimate make it fit, loading and lora read users' files, train.Run does it
all as a config says.
"""
