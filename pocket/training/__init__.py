"""How the pocket family was trained. Not published; its weights are."""
