"""What must hold of everything under `infra`, where no compiler and no cloud can be asked."""
