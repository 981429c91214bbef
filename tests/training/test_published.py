"""Published weights: synthetic state dicts of their layouts, and files that must not be opened."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from skyloom import api
from skyloom.api.judging import finished
from skyloom.cli import main
from skyloom.errors import FormatError, UsageError
from skyloom.fields import store
from skyloom.training import rebuild
from skyloom.training.published import read_published
from skyloom.training.weights import read_header


def sequence(classes: int, *, blocks: bool, head: bool, widths=(8, 16, 32, 64)) -> nn.Sequential:
    """The network as published: layers one after the other."""
    layers: list[nn.Module] = []
    for before, width in zip((1, *widths), widths, strict=False):
        layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.SiLU()]
        layers += [nn.Dropout(0.25)] if blocks else []
    layers += [nn.AdaptiveAvgPool2d(4), *([nn.Dropout(0.25)] if head else []), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[-1] * 16, classes))


def stored(net: nn.Module, path: Path) -> Path:
    torch.save(OrderedDict(net.state_dict()), path)
    return path


LAYOUTS = [
    # Classes, dropouts in the blocks, one before the dense layer, places, weights (reference A4 and A11).
    (2, True, False, [0, 1, 4, 5, 8, 9, 12, 13, 18], 26_674),
    (3, False, False, [0, 1, 3, 4, 6, 7, 9, 10, 14], None),
    (5, False, True, [0, 1, 3, 4, 6, 7, 9, 10, 15], 29_749),
]


@pytest.mark.parametrize(("classes", "blocks", "head", "places", "count"), LAYOUTS)
def test_an_imported_network_answers_as_the_published_one(tmp_path, classes, blocks, head, places, count):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = sequence(classes, blocks=blocks, head=head)
        net(torch.randn(16, 1, 128, 128))  # running means and variances that are not 0 and 1
        maps = torch.rand(3, 1, 128, 128)
    assert sorted({int(key.split(".")[0]) for key in net.state_dict()}) == places
    path = stored(net, tmp_path / "published.pt")
    out = api.import_weights(path, tmp_path / "ours.safetensors")
    method = rebuild(out)
    if count is not None:
        assert sum(p.numel() for p in method.parameters()) == count
    with torch.inference_mode():
        wanted = net.eval()(maps).softmax(dim=1)
    torch.testing.assert_close(method.predict(maps)["mean"], wanted)
    told = read_header(out)["method"]["arguments"]["net"]
    assert (told["block_dropout"], told["dropout"]) == (0.25 * blocks, 0.25 * head)


def test_the_command_line_names_the_classes(tmp_path, capsys):
    path = stored(sequence(2, blocks=True, head=False), tmp_path / "two.pt")
    out = tmp_path / "two.safetensors"
    named = ["--class", "MHD", "--class", "CR_Diff_Fiducial"]
    assert main(["import-weights", str(path), "--out", str(out), *named]) == 0
    assert read_header(out)["classes"] == ["MHD", "CR_Diff_Fiducial"]
    assert main(["import-weights", str(path), "--out", str(out), "--class", "MHD"]) == 2
    assert "1 names for the 2 classes" in capsys.readouterr().err.replace("\n", " ")


def published_run(path, folder, *classes):
    named = [word for name in classes for word in ("--class", name)]
    changes = ["data.maps.count=4", "evaluate={baselines: [majority], bootstrap: 20}", "explain=[]"]
    changes = [word for change in changes for word in ("--set", change)]
    words = ["import-weights", str(path), "--recipe", "cosmic-rays-two-classes", "--out", str(folder), "-q"]
    return main([*words, *changes, *named])


def test_with_a_recipe_it_becomes_a_run_that_answers_by_the_names_of_its_outputs(tmp_path, monkeypatch):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = sequence(2, blocks=True, head=False)
        net(torch.randn(16, 1, 48, 48))
    path = stored(net, tmp_path / "two.pt")
    assert published_run(path, tmp_path / "run", "CR_Diff_Fiducial", "MHD") == 0
    run, data = finished(tmp_path / "run")
    rows = data.rows_of(run.split.sides["test"])
    maps = data.maps(rows)
    with torch.inference_mode():
        wanted = net.eval()(torch.from_numpy(run.inputs(maps))).softmax(dim=1).numpy()
    metrics = api.evaluate(tmp_path / "run")
    assert (metrics["groups"], metrics["samples"]) == (2, len(rows))
    found = run.predict(store.open(data.reader.folder).isel(sample=rows))
    # The outputs of the file are CR_Diff_Fiducial and MHD, and answers go by name.
    for column, name in enumerate(("CR_Diff_Fiducial", "MHD")):
        np.testing.assert_allclose(
            found["probability"].sel({"class": name}).values, wanted[:, column], atol=1e-5
        )
    facts = run.folder.provenance
    assert facts["origin"]["path"].endswith("two.pt")
    assert run.recipe.method["net"]["block_dropout"] == 0.25


def test_a_network_of_other_classes_than_the_recipe_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKYLOOM_DATA", str(tmp_path / "data"))
    path = stored(sequence(2, blocks=True, head=False), tmp_path / "two.pt")
    assert published_run(path, tmp_path / "run", "MHD", "CR_Advect") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "are MHD, CR_Advect, those of the recipe MHD, CR_Diff_Fiducial" in said
    assert main(["import-weights", str(path), "--out", str(tmp_path / "x"), "--set", "name=a"]) == 2


class Trap:
    """What runs a command when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self):
        return os.mkdir, (str(self.flag),)


@pytest.mark.parametrize("write", [torch.save, lambda trap, path: path.write_bytes(pickle.dumps(trap))])
def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path, write):
    flag, path = tmp_path / "ran", tmp_path / "trap.pt"
    write({"0.weight": Trap(flag)}, path)
    with pytest.raises(FormatError, match="no file of tensors alone and was not opened"):
        read_published(path)
    assert not flag.exists()


def test_foreign_and_damaged_files_are_refused_by_name(tmp_path):
    good = sequence(2, blocks=True, head=False).state_dict()
    changes = {
        "it has the key 'encoder.weight'": {"encoder.weight": torch.ones(1)},
        r"layer 4 has .*\(16, 9, 3, 3\).* expected": {"4.weight": torch.ones(16, 9, 3, 3)},
        r"layer 18 has .*\(2, 64\)": {"18.weight": torch.ones(2, 64)},
        "layers stand at 0, 1, 4, 5, 8, 9, 12, 13, 16, 18": {"16.weight": torch.ones(1)},
    }
    path = tmp_path / "foreign.pt"
    for text, change in changes.items():
        torch.save({**good, **change}, path)
        with pytest.raises(FormatError, match=text) as caught:
            read_published(path)
        assert str(path) in str(caught.value)
    torch.save([torch.ones(2)], path)
    with pytest.raises(FormatError, match="holds a list"):
        read_published(path)
    whole = stored(sequence(2, blocks=True, head=False), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match="is damaged"):
        read_published(path)
    with pytest.raises(FormatError, match="there is no file"):
        read_published(tmp_path / "absent.pt")


def test_maps_too_small_for_the_strides_are_refused(tmp_path):
    path = stored(sequence(2, blocks=True, head=False), tmp_path / "two.pt")
    with pytest.raises(UsageError, match="maps of 8 pixels for 4 strides"):
        api.import_weights(path, tmp_path / "o.safetensors", size=8)
