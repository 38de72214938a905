"""Does the command line read the answers that the API's document promises?"""

import json
from pathlib import Path

import pydantic
import pytest

from blendrop.cli import views

SCHEMAS = json.loads((Path(__file__).parents[4] / "docs/openapi.json").read_text())["components"][
    "schemas"
]


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        (views.Event, "JobEvent"),
        (views.Events, "Events"),
        (views.Failure, "FrameFailure"),
        (views.Flagged, "FlaggedFrame"),
        (views.Frame, "FrameView"),
        (views.Frames, "Frames"),
        (views.Holding, "AtWork"),
        (views.Job, "Job"),
        (views.JobView, "JobView"),
        (views.Page, "JobPage"),
        (views.Scene, "SceneRef"),
        (views.UploadTicket, "Upload"),
    ],
)
def test_every_field_that_is_read_is_one_that_is_answered(
    kind: type[pydantic.BaseModel], schema: str
) -> None:
    """None is misspelt, or gone from the API."""
    assert set(kind.model_fields) - set(SCHEMAS[schema]["properties"]) == set()
