"""The worker: receives batches, renders them with Blender, and answers for every frame."""
