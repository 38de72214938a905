"""Are the examples of the API's document what the API answers?"""

import json

import pydantic
import pytest

from blendrop.usecases import farm
from functions import api


@pytest.mark.parametrize(
    ("path", "kind"), [("/api/workers", farm.WorkersView), ("/api/farm", farm.FarmView)]
)
def test_an_example_is_an_answer(path: str, kind: type[pydantic.BaseModel]) -> None:
    """Field by field, and with nothing that an answer would not hold."""
    answer = api.app.openapi()["paths"][path]["get"]["responses"]["200"]
    example = answer["content"]["application/json"]["example"]

    assert json.loads(kind.model_validate(example).model_dump_json()) == example
