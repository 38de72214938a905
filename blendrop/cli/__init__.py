"""The command line of Blendrop: a client of the HTTP API, which holds no key of any storage."""
