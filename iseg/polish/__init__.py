"""Score maps made to follow a picture: named steps, pure functions, none on by default."""
