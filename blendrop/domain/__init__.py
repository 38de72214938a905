"""Pure rules: frames, batches, jobs, messages, the head of a .blend. No clock, no I/O."""
