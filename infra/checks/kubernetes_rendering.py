"""What does an overlay come to, for an example farm?"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

# A farm as `az deployment sub show` tells of it; docs/aks.md writes the same lines.
FARM = {
    "BLENDROP_STORAGE__blobServiceUri": "https://stdatafarm.blob.core.windows.net/",
    "BLENDROP_STORAGE__queueServiceUri": "https://stdatafarm.queue.core.windows.net/",
    "BLENDROP_STORAGE__tableServiceUri": "https://stdatafarm.table.core.windows.net/",
    "BLENDROP_STORAGE__clientId": "11111111-1111-1111-1111-111111111111",
    "PLATFORM_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "DATA_ACCOUNT": "stdatafarm",
    "WORKER_IMAGE": "crfarm.azurecr.io/blendrop-worker:1.0",
}

Manifest = dict[str, Any]


def kubectl() -> str:
    """Return the program: the environment's own, else the machine's.

    Raises:
        FileNotFoundError: there is none; `make setup` brings one.
    """
    own = Path(sys.executable).parent / "kubectl"
    program = str(own) if own.is_file() else shutil.which("kubectl")
    if program is None:
        raise FileNotFoundError("kubectl is needed to render the manifests: run make setup")
    return program


def render(folder: Path, overlay: str, components: tuple[str, ...] = ()) -> list[Manifest]:
    """Render an overlay for the example farm, with components added.

    Raises:
        ValueError: kustomize cannot; with what it said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "kubernetes"
        shutil.copytree(folder, root)
        lines = [f"{name}={value}\n" for name, value in FARM.items()]
        (root / "base/farm.env").write_text("".join(lines))
        top = root / "overlays" / overlay / "kustomization.yaml"
        asked = yaml.safe_load(top.read_text())
        asked["components"] = [f"../../components/{one}" for one in components]
        top.write_text(yaml.safe_dump(asked))
        done = subprocess.run(  # noqa: S603 its path is found above
            [kubectl(), "kustomize", str(top.parent)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    if done.returncode:
        raise ValueError(f"overlay {overlay} cannot be rendered: {done.stderr.strip()}")
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def worker_pod(manifests: list[Manifest]) -> Manifest:
    """Return the worker's pod of a rendered overlay.

    Raises:
        ValueError: there is none.
    """
    pod: Manifest = _template(manifests)["spec"]
    return pod


def worker_labels(manifests: list[Manifest]) -> Manifest:
    """Return the labels of that pod.

    Raises:
        ValueError: there is none.
    """
    labels: Manifest = _template(manifests)["metadata"]["labels"]
    return labels


def _template(manifests: list[Manifest]) -> Manifest:
    for manifest in manifests:
        spec = manifest.get("spec", {})
        template: Manifest | None = spec.get("jobTargetRef", spec).get("template")
        if template:
            return template
    raise ValueError("no manifest runs workers")
