"""Snapshots, catalogues and offsets in TNG's layout, small and of known content."""

from __future__ import annotations

import h5py
import numpy as np

A, H, BOX = 0.5, 0.7, 1000.0  # code units: ckpc/h
HALOS = ([10.0, 500.0, 500.0], [400.0, 300.0, 200.0])  # the first lies across the edge of the box
LENGTHS = np.array([[40, 30, 0, 0, 20, 0], [25, 15, 0, 0, 10, 0]])
SUBHALOS = np.array([[25, 20, 0, 0, 12, 0], [10, 5, 0, 0, 8, 0], [20, 10, 0, 0, 10, 0]])
OF_HALO = np.array([0, 0, 1])
DM_MASS = 0.05


def particles(seed=0):
    """Particles in the order of the files: halo 0, halo 1, and five of none."""
    rng = np.random.default_rng(seed)
    found = {}
    for type_ in (0, 1, 4):
        counts = [*LENGTHS[:, type_], 5]
        centres = np.repeat([*HALOS, [800.0, 800.0, 800.0]], counts, axis=0)
        n = sum(counts)
        fields = {
            "Coordinates": (centres + rng.normal(0, 8, (n, 3))) % BOX,
            "Velocities": rng.normal(0, 100, (n, 3)),
        }
        if type_ != 1:
            fields |= {"Masses": rng.uniform(0.01, 0.02, n)}
        if type_ == 0:
            metals = np.zeros((n, 10))
            metals[:, 0] = 0.75
            fields |= {
                "Density": rng.uniform(1e-5, 1e-4, n),
                "InternalEnergy": np.full(n, 200.0),
                "ElectronAbundance": np.full(n, 1.0),
                "MagneticField": np.tile([3.0, 0.0, 4.0], (n, 1)),
                "GFM_Metals": metals,
                "GFM_Metallicity": np.full(n, 0.01),
                "NeutralHydrogenAbundance": np.full(n, 0.5),
                "StarFormationRate": np.where(np.arange(n) % 2, 0.0, 0.1),
            }
        if type_ == 4:
            fields["GFM_StellarFormationTime"] = np.where(np.arange(n) % 5, 0.3, -1.0)  # every fifth is wind
        found[type_] = fields
    return found


def header(file, counts, files, **more):
    total = [sum(counts[type_]) if type_ in counts else 0 for type_ in range(6)]
    file.create_group("Header").attrs.update(
        {
            "BoxSize": BOX, "HubbleParam": H, "Omega0": 0.3, "OmegaLambda": 0.7, "Time": A,
            "Redshift": 1 / A - 1, "NumFilesPerSnapshot": files, "NumPart_Total": total,
            "NumPart_Total_HighWord": [0] * 6, "MassTable": [0, DM_MASS, 0, 0, 0, 0],
            "UnitLength_in_cm": 3.085678e21, "UnitMass_in_g": 1.989e43, "UnitVelocity_in_cm_per_s": 1e5,
            **more,
        }
    )  # fmt: skip


def write(output, files=3, number=99, swapped=False):
    """Write a snapshot and its catalogue under ``output``; return the particles.

    ``swapped`` writes the dark matter's numbers as if each halo were the other one.
    """
    content = particles()
    n = len(content[1]["Coordinates"])
    first, second = np.split(np.arange(n, dtype=np.uint64) + 2**60, [LENGTHS[0, 1]])
    content[1]["ParticleIDs"] = np.concatenate([second, first] if swapped else [first, second])
    edges = {
        type_: np.linspace(0, len(v["Coordinates"]), files + 1).astype(int) for type_, v in content.items()
    }
    (output / f"snapdir_{number:03d}").mkdir(parents=True)
    for i in range(files):
        with h5py.File(output / f"snapdir_{number:03d}" / f"snap_{number:03d}.{i}.hdf5", "w") as file:
            header(file, {t: np.diff(e) for t, e in edges.items()}, files)
            for type_, fields in content.items():
                for name, values in fields.items():
                    rows = slice(edges[type_][i], edges[type_][i + 1])
                    file[f"PartType{type_}/{name}"] = values[rows]
    (output / f"groups_{number:03d}").mkdir()
    with h5py.File(output / f"groups_{number:03d}" / f"fof_subhalo_tab_{number:03d}.0.hdf5", "w") as file:
        header(file, {}, 1, NumFiles=1, Ngroups_Total=2, Nsubgroups_Total=3)
        file["Group/GroupPos"], file["Group/GroupLenType"] = np.array(HALOS), LENGTHS
        file["Group/GroupMass"] = [5.0, 3.0]
        file["Group/GroupMassType"] = np.array([[2.0, 2.5, 0, 0, 0.5, 0], [1.0, 1.8, 0, 0, 0.2, 0]])
        file["Group/GroupVel"] = np.ones((2, 3))
        file["Subhalo/SubhaloPos"] = np.array(HALOS)[OF_HALO]
        file["Subhalo/SubhaloLenType"], file["Subhalo/SubhaloGrNr"] = SUBHALOS, OF_HALO
        file["Subhalo/SubhaloMass"] = [3.0, 1.0, 2.5]
        file["Subhalo/SubhaloMassType"] = np.ones((3, 6))
        file["Subhalo/SubhaloVel"] = np.ones((3, 3))
    return content
