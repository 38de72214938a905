"""The one entry point that Azure Functions looks for."""

from functions.app import app

__all__ = ["app"]
