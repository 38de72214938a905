"""How fast is this, and what does it cost beside Blender? Measured, never remembered."""
