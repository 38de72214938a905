"""Run the function app of the current folder: `python -m local.function_host --port 7071`."""

import argparse
import asyncio
import importlib
import logging
import os
import sys
from pathlib import Path

from blendrop import errors
from local.function_host import host, host_json


def main() -> int:
    """Run the app until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=7071, help="of HTTP on 127.0.0.1")
    port = parser.parse_args().port
    # Azure's worker puts a handler on the root logger before the app is imported, and so do we:
    # the app may then give it its own format.
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    # One line for each call of the storage would drown what people look for.
    logging.getLogger("azure.core.pipeline.policies").setLevel(logging.WARNING)
    try:
        settings = host_json.read(Path("host.json"))
        app = importlib.import_module("function_app").app
        asyncio.run(host.run(app, settings, os.environ, port=port))
    except errors.BlendropError as failed:
        print(f"function host: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
