"""Automatic1111, Forge and reForge: the accordion in txt2img and img2img, and the tab "Reliable Ads".

Thin, as nodes/ is for ComfyUI: only this room imports the web UI's `modules`. `scripts/reliable_ads.py` is its door.

One picture: script.py (the web UI's hooks) → plan.py (what to draw, checked) → the host draws attempt 1 → loop.py (the
loop of cyclic, around the host's own process_images) → results.py (gallery, infotext, report).
"""
