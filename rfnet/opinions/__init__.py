"""Second opinions on a picture, each optional: label-free measures and models that the user has."""
