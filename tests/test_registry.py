"""The registry against packages that exist only in a temporary folder: good ones, rivals and hostile ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest

from skyloom import registry
from skyloom.errors import RegistryError
from skyloom.registry import catalogue
from skyloom.registry.describing import argument_docs, type_words

SCAN = catalogue._scan
GOOD = '''
from __future__ import annotations
from typing import Annotated, Any, Literal, TYPE_CHECKING
from skyloom.registry import Kind
if TYPE_CHECKING:
    from somewhere import Maps

Net = Annotated[dict[str, Any], Kind("net")]

class Tiny:
    """A tiny network.

    It is used in tests.

    Args:
        in_channels: Number of channels.
        width: Channels of the first layer,
            doubled in each next one.
        norm: Which norm.
    """

    def __init__(
        self, in_channels: int, maps: Maps, *, width: int = 8, norm: Literal["batch", "group"] = "batch",
        widths: tuple[int, ...] = (1, 2), rate: float = 0.5
    ) -> None:
        self.given = (in_channels, maps, width, norm, widths, rate)

class Learner:
    def __init__(self, size: int, *, net: Net = {"name": "tiny"}, others: list[Net] = [], steps: int) -> None:
        self.net, self.others, self.steps = net, others, steps
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package: real metadata on the path, and one module of the same name."""
    monkeypatch.syspath_prepend(tmp_path)
    made: list[str] = []

    def make(package: str, points: str, source: str = "", version: str = "1.0") -> None:
        info = tmp_path / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(points)
        (tmp_path / f"{package}.py").write_text(source)
        made.append(package)
        # The scan is remembered for each state of the path; a new folder is a new state.
        SCAN.cache_clear()

    yield make
    for package in made:
        sys.modules.pop(package, None)
    SCAN.cache_clear()


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else is installed, so that looking for broken plugins loads nothing heavy."""
    monkeypatch.setattr(catalogue, "_scan", lambda path: SCAN((str(tmp_path),)))


@pytest.fixture
def good(install: Callable[..., None]) -> None:
    install(
        "good_plugin",
        "[skyloom.net]\ntiny = good_plugin:Tiny\n[skyloom.method]\nlearner = good_plugin:Learner\n",
        GOOD,
    )


def test_plugin_of_another_package_is_listed_and_built(good: None) -> None:
    entry = next(e for e in registry.entries("net") if e.name == "tiny")
    assert (entry.kind, entry.target, entry.distribution) == ("net", "good_plugin:Tiny", "good_plugin")
    assert "tiny" in registry.names("net")
    assert "tiny" not in registry.names("method")
    net = registry.build({"name": "tiny", "width": 3}, "net", data=(1, "maps"))
    assert net.given == (1, "maps", 3, "batch", (1, 2), 0.5)
    assert registry.build("tiny", "net", data=(1, 2)).given[2] == 8


def test_listing_imports_no_plugin(good: None) -> None:
    registry.names()
    assert "good_plugin" not in sys.modules


def test_every_declared_kind_is_known() -> None:
    assert {entry.kind for entry in registry.entries()} <= set(registry.KINDS)
    with pytest.raises(RegistryError, match="no kind of component is called 'nets'") as caught:
        registry.names("nets")
    assert "did you mean 'net'?" in caught.value.hint


def test_hostile_plugins_are_reported_and_hinder_nobody(
    install: Callable[..., None], good: None, alone: None
) -> None:
    install("hostile", "[skyloom.net]\nboom = hostile:Boom\n", "raise RuntimeError('I am broken')")
    install("leaver", "[skyloom.net]\nleave = leaver:Leave\n", "import sys; sys.exit(3)")
    install("function", "[skyloom.net]\nplain = function:plain\n", "def plain(): ...")
    install("stranger", "[skyloom.nett]\nodd = stranger:Odd\n", "class Odd: ...")
    install("torn", "[skyloom.net]\nno equals sign here\n")
    assert registry.build("tiny", "net", data=(1, 2)).given[0] == 1
    with pytest.raises(RegistryError, match=r"'boom' of package 'hostile'.*RuntimeError: I am broken"):
        registry.get("boom", "net")
    with pytest.raises(RegistryError, match="'leave' of package 'leaver'"):
        registry.get("leave", "net")
    with pytest.raises(RegistryError, match="is 'function', not a class"):
        registry.get("plain", "net")
    reasons = {
        entry.distribution: reason for entry, reason in registry.broken() if entry.distribution != "skyloom"
    }
    assert set(reasons) == {"hostile", "leaver", "function", "stranger", "torn"}
    assert "I am broken" in reasons["hostile"]
    assert "no kind of component is called 'nett'; did you mean 'net'?" in reasons["stranger"]
    assert "cannot be read" in reasons["torn"]


def test_one_name_from_two_packages_is_refused_and_both_are_named(
    install: Callable[..., None], good: None, alone: None
) -> None:
    install("rival", "[skyloom.net]\ntiny = rival:Tiny\nother = rival:Tiny\n", "class Tiny: ...")
    with pytest.raises(RegistryError, match="declared twice") as caught:
        registry.get("tiny", "net")
    assert "'good_plugin'" in caught.value.message
    assert "'rival'" in caught.value.message
    assert registry.get("other", "net").__name__ == "Tiny"
    assert registry.names("net").count("tiny") == 1
    assert [e.distribution for e, reason in registry.broken() if "declared twice" in reason] == [
        "good_plugin",
        "rival",
    ]


def test_a_second_copy_of_one_package_is_no_rival(install: Callable[..., None], good: None) -> None:
    install("good_plugin", "[skyloom.net]\ntiny = good_plugin:Tiny\n", GOOD, version="0.9")
    assert registry.get("tiny", "net").__name__ == "Tiny"


def test_one_name_in_two_kinds_needs_the_kind() -> None:
    with pytest.raises(
        RegistryError, match=r"declared twice.*baseline.*method|declared twice.*method.*baseline"
    ):
        registry.find("moments")
    assert registry.find("moments", "baseline").target.startswith("skyloom.evaluate")


def test_unknown_name_gives_the_nearest_and_where_else_it_is() -> None:
    with pytest.raises(RegistryError, match="no net is called 'resnt'") as caught:
        registry.get("resnt", "net")
    assert "did you mean 'resnet'?" in caught.value.hint
    with pytest.raises(RegistryError, match=r"no net is called 'pdf' \('pdf' is a statistic\)"):
        registry.get("pdf", "net")


def test_resolve_writes_every_default_also_of_nested_components(good: None) -> None:
    tiny = {"name": "tiny", "width": 8, "norm": "batch", "widths": [1, 2], "rate": 0.5}
    resolved = registry.resolve(
        {"name": "learner", "steps": 4, "others": ["tiny", {"name": "tiny", "rate": 2}]}, "method"
    )
    assert resolved == {"name": "learner", "net": tiny, "others": [tiny, {**tiny, "rate": 2.0}], "steps": 4}
    assert next(iter(resolved)) == "name"
    assert registry.resolve(resolved, "method") == resolved


def test_another_key_may_hold_the_name(good: None) -> None:
    assert registry.resolve({"by": "tiny"}, "net", key="by")["by"] == "tiny"
    with pytest.raises(RegistryError, match="by: is missing"):
        registry.resolve({"name": "tiny"}, "net", key="by")


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ({"name": "tiny", "widht": 3}, "net 'tiny': widht: unknown key", "did you mean 'width'?"),
        ({"name": "tiny", "width": "3"}, "width: must be a whole number, not '3'", ""),
        ({"name": "tiny", "width": True}, "width: must be a whole number, not true", ""),
        ({"name": "tiny", "widths": [1, "a"]}, "widths.1: must be a whole number, not 'a'", ""),
        (
            {"name": "tiny", "norm": "bach"},
            "norm: must be 'batch' or 'group', not 'bach'",
            "did you mean 'batch'?",
        ),
        ({"name": "tiny", "in_channels": 3}, "in_channels: comes from the data", "remove it"),
        ({"name": "tiny", "rate": {1, 2}}, "arguments must be JSON values", ""),
        ({"width": 3}, "name: is missing", "tiny"),
        ({"name": 3}, "must be the name of a net, not 3", "tiny"),
        (3, "must be a net: its name, or a mapping {name: ...}, not 3", ""),
    ],
)
def test_wrong_arguments_are_told_in_plain_words(good: None, spec: Any, message: str, hint: str) -> None:
    with pytest.raises(RegistryError) as caught:
        registry.build(spec, "net")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "pydantic" not in str(caught.value)
    assert "input_value" not in str(caught.value)


def test_faults_deep_inside_keep_their_place_and_all_are_told(good: None) -> None:
    spec = {
        "name": "learner",
        "net": {"name": "tiny", "norm": 3},
        "others": ["tiny", {"name": "tini"}],
        "stepz": 1,
    }
    with pytest.raises(RegistryError) as caught:
        registry.resolve(spec, "method")
    lines = caught.value.message.splitlines()
    assert lines == [
        "method 'learner': net.norm: must be 'batch' or 'group', not 3",
        "method 'learner': others.1.name: no net is called 'tini'",
        "method 'learner': steps: is missing",
        "method 'learner': stepz: unknown key",
    ]


class Plain:
    pass


class Starred:
    def __init__(self, size: int, **options: int) -> None: ...


class Bare:
    def __init__(self, *, width=3) -> None: ...  # type: ignore[no-untyped-def]


class Unreadable:
    def __init__(self, *, width: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Opaque:
    def __init__(self, *, path: subprocess.Popen) -> None: ...


@dataclass(kw_only=True)
class Record:
    copy: int = 1
    shape: list[int] = field(default_factory=lambda: [3, 4])


def test_model_of_a_class_without_constructor_is_empty() -> None:
    assert registry.arguments(Plain).model_fields == {}


def test_dataclass_with_hidden_defaults_and_a_name_of_pydantics_own() -> None:
    assert registry.arguments(Record).model_validate({"copy": 2}).model_dump() == {"copy": 2, "shape": [3, 4]}


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Starred, r"takes \*\*options"),
        (Bare, "argument 'width' of .*Bare has no annotation"),
        (Unreadable, "name 'Nowhere' is not defined"),
        (Opaque, "cannot be checked"),
    ],
)
def test_constructors_that_cannot_be_checked_are_refused(cls: type, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        registry.arguments(cls)


def test_infinity_survives() -> None:
    class Endless:
        def __init__(self, *, high: float = float("inf")) -> None: ...

    assert registry.arguments(Endless).model_validate_json("{}").model_dump(mode="json") == {
        "high": float("inf")
    }


def test_union_members_are_joined_and_their_tags_dropped() -> None:
    class Settings(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        devices: int | Literal["auto"]
        parts: list[Part] | None = None

    class Part(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        width: Annotated[float, pydantic.Field(gt=0)] = 1.0

    Settings.model_rebuild(_types_namespace={"Part": Part})

    def told(value: dict[str, Any]) -> list[tuple[str, str]]:
        with pytest.raises(pydantic.ValidationError) as caught:
            Settings.model_validate(value)
        return [(str(p), p.hint) for p in registry.problems(caught.value, Settings, value)]

    assert told({"devices": "aut"}) == [
        ("devices: must be a whole number or 'auto', not 'aut'", "did you mean 'auto'? allowed: auto")
    ]
    assert told({"devices": 1, "parts": [{"width": -1.0}]}) == [
        ("parts.0.width: must be more than 0.0, not -1.0", "")
    ]
    assert told({"devices": 1, "parts": [{"widht": 1.0}]}) == [
        ("parts.0.widht: unknown key", "did you mean 'width'? allowed: width")
    ]
    assert told({}) == [("devices: is missing", "write 'devices' there")]


def test_describe_tells_types_defaults_and_docs(good: None) -> None:
    told = registry.describe("net", "tiny")
    assert told["doc"] == "A tiny network.\n\nIt is used in tests."
    assert told["data"] == ["in_channels", "maps"]
    assert told["distribution"] == "good_plugin"
    width, norm, *_ = told["arguments"]
    assert width == {
        "name": "width",
        "type": "whole number",
        "required": False,
        "default": 8,
        "doc": "Channels of the first layer, doubled in each next one.",
    }
    assert norm["type"] == "'batch' or 'group'"
    learner = {row["name"]: row for row in registry.describe("method", "learner")["arguments"]}
    assert (learner["net"]["type"], learner["others"]["type"]) == ("net", "list of nets")
    assert learner["steps"]["required"]


def test_type_words() -> None:
    assert type_words(dict[str, float]) == "mapping to numbers"
    assert type_words(tuple[int, ...]) == "list of whole numbers"
    assert type_words(Annotated[int, pydantic.Field(ge=1, le=4)]) == "whole number ≥ 1 ≤ 4"
    assert type_words(dict) == "mapping"


def test_argument_docs_without_a_section() -> None:
    assert argument_docs("Nothing here.") == {}


def test_finding_components_imports_neither_torch_nor_pydantic() -> None:
    code = "import sys; from skyloom import registry; registry.names(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pydantic", "numpy"} & set(out.stdout.split())
