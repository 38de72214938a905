"""Everything that Azure and Kubernetes need to run the farm; no code that the farm runs."""
