"""The ports, carried out by real services, by folders, and in memory."""
