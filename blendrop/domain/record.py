"""What are the rows, messages and views of this domain made of? Models that never change."""

import pydantic


class Record(pydantic.BaseModel):
    """A model that never changes, and is built when it is first used.

    Built as it is imported, each would be built once more within every other that holds it, and a
    cold start pays for those that it never uses.
    """

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)
