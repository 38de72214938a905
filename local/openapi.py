"""What does the HTTP API take and answer? Its OpenAPI document, as the app itself makes it.

`python -m local.openapi --write` brings `docs/openapi.json` up to date, and without that option it
is compared; `make check` does so.
"""

import json
import os
import sys
from pathlib import Path

_DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"
# Nothing is connected to: the document does not depend on where the farm is.
_NOWHERE = {
    "BLENDROP_STORAGE": "UseDevelopmentStorage=true",
    "BLENDROP_FRAME_SHARE": "/nowhere",
    "BLENDROP_NEWEST_BLENDER": "5.0",
}


def text() -> str:
    """Return the document."""
    os.environ.update(_NOWHERE)
    from functions import api  # noqa: PLC0415 the app reads its settings as it is imported

    return json.dumps(api.app.openapi(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Return 0 if the document in docs/ is that of the app, or was written."""
    if "--write" in sys.argv[1:]:
        _DOCUMENT.write_text(text(), encoding="utf-8")
        return 0
    if _DOCUMENT.is_file() and _DOCUMENT.read_text(encoding="utf-8") == text():
        return 0
    print(f"{_DOCUMENT} is not what the app says: run make openapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
