"""Would two jobs render the same frames, pixel for pixel?"""

import hashlib
import json

from blendrop.domain import job_settings


def key(*, scene_digest: str, settings: job_settings.JobSettings, blender_version: str) -> str:
    """Return what is equal for jobs whose frames of the same number are the same.

    `scene_digest` is of the scene's bytes, whatever the scene is called; `blender_version` is the
    full version of the Blender that renders.
    """
    asked = settings.model_dump(mode="json", include=set(job_settings.PIXELS))
    identity = json.dumps([scene_digest, asked, blender_version], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()
