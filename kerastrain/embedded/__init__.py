"""Data that travels with the package; `kerastrain.datasets` reads it."""
