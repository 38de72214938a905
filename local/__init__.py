"""Everything on one machine: storage emulator, functions, workers, the demo."""
