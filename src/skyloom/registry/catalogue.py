"""Which components are installed: entry points of the groups ``skyloom.<kind>``, found without loading any.

Skyloom's own components are declared as any other package declares its own. A plugin that cannot be
loaded is reported by `broken` and hinders nobody else; a name that two packages claim is refused when it
is asked for, and both packages are named.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from skyloom.errors import RegistryError, SkyloomError, nearest

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "format": "reads a native file into a field set",
        "simulator": "makes a field set from parameters and a seed",
        "instrument": "makes of maps or cubes what a telescope sees of them",
        "transform": "changes the values of a field before a network sees them",
        "split": "says which samples train, validate and test",
        "task": "says what is asked and how the answer is judged",
        "method": "says how it is learned",
        "net": "a network",
        "denoiser": "a network that takes noise away, for diffusion and flow matching",
        "generator": "a network that makes maps of noise and conditions, for an adversarial method",
        "critic": "a network that tells real maps from generated ones",
        "autoencoder": "packs maps into fewer numbers and back, for latent diffusion",
        "optimiser": "moves the weights",
        "baseline": "a simple competitor that a network has to beat",
        "statistic": "a physics summary of maps",
        "explanation": "shows what a trained network looks at",
        "tracker": "sends scores to another program while training",
    }
)
PREFIX = "skyloom."


@dataclass(frozen=True)
class Entry:
    """One declared component; nothing is imported until `load`.

    Args:
        kind: One of `KINDS`.
        name: The name used in recipes.
        target: Where the class is, ``"module:Class"``.
        distribution: The installed package that declares it.

    Example:
        >>> Entry("transform", "ordered", "collections:OrderedDict", "example").load().__name__
        'OrderedDict'
    """

    kind: str
    name: str
    target: str
    distribution: str

    def load(self) -> type:
        """Import the class.

        Returns:
            The class that the entry points to.

        Raises:
            RegistryError: The plugin cannot be imported, or the target is not a class.
        """
        point = importlib.metadata.EntryPoint(self.name, self.target, PREFIX + self.kind)
        try:
            loaded = point.load()
        except SkyloomError:
            raise
        # A plugin may do anything while it is imported, sys.exit() included.
        except (Exception, SystemExit) as problem:
            raise RegistryError(
                f"{self.kind} {self.name!r} of package {self.distribution!r} cannot be loaded "
                f"from {self.target!r}: {type(problem).__name__}: {problem}",
                hint=f"repair, update or uninstall {self.distribution!r}; other components are not affected",
            ) from problem
        if not isinstance(loaded, type):
            raise RegistryError(
                f"{self.kind} {self.name!r} of package {self.distribution!r}: {self.target!r} is "
                f"{type(loaded).__name__!r}, not a class",
                hint="an entry point names a class as 'module:Class'",
            )
        return loaded


def entries(*kinds: str) -> list[Entry]:
    """List what is declared, sorted by kind and name; a name claimed twice appears twice.

    Args:
        kinds: Only these kinds; all without any.

    Returns:
        The entries, in the order of `KINDS`, then by name.

    Raises:
        RegistryError: A kind is unknown.

    Example:
        >>> [entry.distribution for entry in entries("net") if entry.name == "resnet"]
        ['skyloom']
    """
    wanted = _known(kinds)
    order = list(KINDS)
    found = [entry for entry in _scan(tuple(sys.path))[0] if entry.kind in wanted]
    return sorted(found, key=lambda entry: (order.index(entry.kind), entry.name, entry.distribution))


def names(*kinds: str) -> list[str]:
    """List the names that recipes may use, sorted, each once.

    Args:
        kinds: Only these kinds; all without any.

    Example:
        >>> "resnet" in names("net")
        True
    """
    return sorted({entry.name for entry in entries(*kinds)})


def find(name: str, *kinds: str) -> Entry:
    """Return the one entry of that name without importing it.

    Args:
        name: As written in a recipe.
        kinds: Where to look; all kinds without any.

    Raises:
        RegistryError: No component, or more than one, has that name; the message gives the nearest
            spelling, or the packages that both claim it.

    Example:
        >>> find("resnet", "net").target
        'skyloom.nets.resnet:ResNet'
    """
    matches = [entry for entry in entries(*kinds) if entry.name == name]
    asked = " or ".join(kinds) if kinds else "component"
    if not matches:
        elsewhere = sorted({entry.kind for entry in entries() if entry.name == name})
        other = f" ({name!r} is a {' and a '.join(elsewhere)})" if elsewhere else ""
        raise RegistryError(f"no {asked} is called {name!r}{other}", hint=nearest(name, names(*kinds)))
    if len(matches) > 1:
        claims = " and ".join(f"{e.distribution!r} ({e.kind} {e.target})" for e in matches)
        raise RegistryError(
            f"{asked} {name!r} is declared twice, by {claims}",
            hint="uninstall one of the two, or ask its authors to rename their component",
        )
    return matches[0]


def get(name: str, *kinds: str) -> type:
    """Return the class of that name, importing its module.

    Args:
        name: As written in a recipe.
        kinds: Where to look; all kinds without any.

    Raises:
        RegistryError: The name is unknown, claimed twice, or its plugin cannot be loaded.

    Example:
        >>> get("remove_mean", "transform").__name__
        'RemoveMean'
    """
    return find(name, *kinds).load()


def broken() -> list[tuple[Entry, str]]:
    """Load everything and list what fails, each with its reason; never raises for a plugin's fault.

    Returns:
        Pairs of entry and reason: import errors, names claimed twice, unknown kinds, and packages whose
        list of entry points cannot be read (their entry has an empty kind and name).

    Example:
        >>> [reason for entry, reason in broken() if entry.name == "remove_mean"]
        []
    """
    faults = list(_scan(tuple(sys.path))[1])
    for entry in entries():
        try:
            find(entry.name, entry.kind)
            entry.load()
        except SkyloomError as problem:
            faults.append((entry, problem.message))
    return faults


def _known(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            raise RegistryError(f"no kind of component is called {kind!r}", hint=nearest(kind, KINDS))
    return kinds or tuple(KINDS)


@functools.lru_cache(maxsize=8)
def _scan(path: tuple[str, ...]) -> tuple[tuple[Entry, ...], tuple[tuple[Entry, str], ...]]:
    """Read the entry points of all installed packages once for each state of ``sys.path``."""
    found: list[Entry] = []
    faults: list[tuple[Entry, str]] = []
    seen: set[str] = set()
    for distribution, text in _declaring(path):
        name = distribution.name
        # An older copy further down the path is not what Python would import.
        if name in seen:
            continue
        seen.add(name)
        try:
            points = [point for point in distribution.entry_points if point.group.startswith(PREFIX)]
        except Exception as problem:
            reason = f"the entry points of {name!r} cannot be read: {type(problem).__name__}: {problem}"
            faults.append((Entry("", "", text[:80], name), reason))
            continue
        for point in points:
            entry = Entry(point.group.removeprefix(PREFIX), point.name, point.value, name)
            if entry.kind in KINDS:
                found.append(entry)
            else:
                reason = f"no kind of component is called {entry.kind!r}; {nearest(entry.kind, KINDS)}"
                faults.append((entry, reason))
    return tuple(found), tuple(faults)


def _declaring(path: tuple[str, ...]) -> Iterator[tuple[importlib.metadata.Distribution, str]]:
    """Yield the packages that declare anything for Skyloom; the others are passed over unparsed."""
    for distribution in importlib.metadata.distributions(path=list(path)):
        text = distribution.read_text("entry_points.txt") or ""
        if PREFIX in text:
            yield distribution, text
