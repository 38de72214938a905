"""What the pages on Azure tell people to type exists, and azd does the same."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.checks import bicep_folder, kubernetes_rendering

PAGES = ["deploy.md", "aks.md", "operate.md"]


def _commands(repository: Path, page: str) -> str:
    text = (repository / "docs" / page).read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_read_by_a_shell(repository: Path, page: str) -> None:
    """Nobody pastes a quote that never closes."""
    commands = re.sub(r"<[^<>\n]+>", "NAME", _commands(repository, page))

    done = subprocess.run(
        ["bash", "-n"], input=commands, check=False, capture_output=True, text=True, timeout=10
    )

    assert done.stderr == ""


@pytest.mark.parametrize("page", PAGES)
def test_what_the_farm_is_asked_for_is_an_output(repository: Path, page: str) -> None:
    """Each `farm NAME` is answered by the deployment."""
    asked = set(re.findall(r"\bfarm ([A-Z][A-Z_]+)\b", (repository / "docs" / page).read_text()))
    outputs = bicep_folder.BicepFolder(repository / "infra/bicep").main.outputs

    assert asked
    assert asked <= set(outputs)


@pytest.mark.parametrize("page", PAGES)
def test_parameters_and_files_that_are_named_exist(repository: Path, page: str) -> None:
    """A parameter given to `provision`, and a path of the repository, are real."""
    text = (repository / "docs" / page).read_text()
    main = bicep_folder.BicepFolder(repository / "infra/bicep").main
    given = set(re.findall(r"\bprovision ((?:\w+=\S+ ?)+)", text))
    names = {one.partition("=")[0] for group in given for one in group.split()}
    paths = set(re.findall(r"\b((?:infra|container_worker)/[\w./-]*\w)", text))
    made = {"infra/kubernetes/base/farm.env", "infra/bicep/"}

    assert names <= set(main.parameters)
    assert not [path for path in paths - made if not (repository / path).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_queues_containers_shares_and_secrets_that_are_named_exist(
    repository: Path, page: str
) -> None:
    """By the names that the templates make them with."""
    text = (repository / "docs" / page).read_text()
    names = bicep_folder.BicepFolder(repository / "infra/bicep").data("names")
    options = "queue-name|container-name|share-name|namespace"
    asked = set(re.findall(rf"--(?:{options}) ([a-z][\w-]*)", text))
    asked |= set(re.findall(r"\bkeyvault secret .*?--name ([a-z][\w-]*)", text, re.DOTALL))

    assert asked - {"kube-system"} <= set(names.values())


@pytest.mark.parametrize("page", [*PAGES, "access.md"])
def test_settings_and_targets_that_are_named_exist(repository: Path, page: str) -> None:
    """Each variable is an output of the deployment or read by somebody, each target is there."""
    text = (repository / "docs" / page).read_text()
    templates = bicep_folder.BicepFolder(repository / "infra/bicep")
    explained = json.loads((repository / "local.settings.example.json").read_text())["Meanings"]
    known = {*explained, *templates.main.outputs, "BLENDROP_STORAGE"}
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE)

    assert set(re.findall(r"\bBLENDROP_[A-Z_]*[A-Z]", text)) <= known
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= set(targets)


def test_the_cluster_is_told_of_the_farm_as_the_checks_tell_it(repository: Path) -> None:
    """The page writes just the lines that the manifests were rendered with."""
    (written,) = re.findall(
        r"farm\.env <<END\n(.*?)^END", _commands(repository, "aks.md"), re.MULTILINE | re.DOTALL
    )

    assert [line.partition("=")[0] for line in written.splitlines()] == list(
        kubernetes_rendering.FARM
    )


def test_azd_provisions_what_the_pages_do(repository: Path) -> None:
    """azure.yaml leads to the same templates, service tag, package and image."""
    azd = yaml.safe_load((repository / "azure.yaml").read_text())
    templates = bicep_folder.BicepFolder(repository / azd["infra"]["path"])
    (service,) = azd["services"]
    hooks = azd["hooks"]["predeploy"]
    values = (templates.root / "main.parameters.json").read_text()
    filled = set(re.findall(r"\$\{(\w+)", values))

    assert f"'azd-service-name': '{service}'" in templates.module("function-app").path.read_text()
    assert [step["azd"] for step in azd["workflows"]["up"]["steps"]] == [
        "provision",
        "deploy --all",
        "provision",
    ]
    for hook in hooks.values():
        asked = set(re.findall(r"\b(AZURE_\w+)", hook["run"]))
        assert asked <= set(templates.main.outputs)
        assert set(re.findall(r"azd env set (\w+)", hook["run"])) <= filled
