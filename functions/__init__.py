"""The function app: decode what Azure hands in, run one use case, encode the answer."""
