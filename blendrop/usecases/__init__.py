"""What Blendrop does, one verb a file, in terms of the ports."""
