"""What the functions and the workers of Blendrop must agree on."""

__version__ = "0.1.0"
