"""Trained runs for others: a folder with a model card, or a repository of the Hugging Face Hub.

What is shared is what is needed to predict and to judge: recipe, split, audit, transforms, best weights
(safetensors: nothing is unpickled), repair of the errors, scores, and the page. The state of the optimiser
and the maps are not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from skyloom.api.trained import Run, load_run
from skyloom.errors import DataError, UsageError
from skyloom.runs import RunFolder, write_text
from skyloom.runs.card import card

NEEDED = ("recipe.yaml", "provenance.json", "split.json", "transforms.json", "task.json")
SHARED = (
    *NEEDED, "audit.txt", "emulator.json", "calibration.json", "shift.json", "log.csv", "timing.json",
    "looks.json", "report.html", "weights/best.safetensors", "evaluate/*/metrics.json",
    "evaluate/*/scorecard.json", "transfer/*/metrics.json", "figures/*",
)  # fmt: skip
CARD = "README.md"


def package(run: Path, folder: Path) -> Path:
    """Copy what others need of a run into a folder, with its model card as ``README.md``.

    Args:
        run: The run.
        folder: Where to; must not be there yet, or be empty.

    Returns:
        ``folder``; `from_pretrained` and `load_run` open it.

    Raises:
        UsageError: The folder holds something.
        DataError: The run is not trained.
    """
    source = RunFolder.open(run, need=(*NEEDED, "weights/best.safetensors"))
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="choose another folder")
    for pattern in SHARED:
        for path in sorted(source.path.glob(pattern)):
            target = folder / path.relative_to(source.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)
    write_text(folder / CARD, card(source))
    return folder


def push_to_hub(run: Path, repository: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a run to a repository of the Hugging Face Hub, which is made where it is not there.

    Args:
        run: The run.
        repository: ``owner/name``.
        private: Whether a new repository is seen by its owner alone.
        token: Of the account; the one of ``hf auth login`` if not given.

    Returns:
        The address of the commit.

    Raises:
        DataError: The run is not trained, or the hub refuses.
    """
    import tempfile

    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as scratch:
        folder = package(run, Path(scratch) / "run")
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            done: Any = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=f"Add {RunFolder(run).path.name}"
            )
        except (HfHubHTTPError, OSError) as error:
            raise DataError(
                f"{repository}: the hub does not take it ({error})",
                hint="log in with: hf auth login; the name is owner/name",
            ) from error
    return str(getattr(done, "commit_url", done))


def from_pretrained(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache: Path | None = None,
    offline: bool = False,
) -> Run:
    """Open a trained run from a folder or from the Hugging Face Hub.

    Args:
        name: A folder, or ``owner/name`` on the hub; ``HF_ENDPOINT`` may name another host.
        revision: Branch, tag or commit.
        cache: Where downloads are kept; the hub's own folder if not given.
        offline: Ask no host: open what was downloaded before.

    Returns:
        The run, ready to predict or to draw.

    Raises:
        DataError: There is neither a folder nor such a repository, or it is no run.
    """
    if Path(name).is_dir():
        return load_run(Path(name))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            str(name),
            revision=revision,
            cache_dir=cache,
            allow_patterns=[*SHARED, CARD],
            endpoint=os.environ.get("HF_ENDPOINT"),
            local_files_only=offline,
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(
            f"{name}: neither a folder nor a run that can be fetched from the hub ({type(error).__name__})",
            hint="check the name, owner/name; without a network, give a folder",
        ) from error
    return load_run(Path(folder))
