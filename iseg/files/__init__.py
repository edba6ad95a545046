"""Images in; masks, pictures and other results out."""
