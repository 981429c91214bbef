"""21cmFAST's files: real ones of version 3, boxes of version 4, and both layouts rebuilt by hand."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from skyloom import fields, formats
from skyloom.errors import FormatError
from skyloom.formats.fast21 import Fast21

COSMOLOGY = {"hlittle": "0.6766", "OMm": "0.30964144154550644", "OMb": "0.04897468161869667"}


def coeval_v4(path: Path, cube: np.ndarray, seed: int = 7) -> Path:
    """Write what ``Coeval.save`` of 21cmFAST 4.1.1 writes, as far as the reader looks."""
    with h5py.File(path, "w") as file:
        file.attrs["21cmFAST-version"] = "4.1.1"
        for struct, name in (("BrightnessTemp", "brightness_temp"), ("IonizedBox", "neutral_fraction")):
            group = file.create_group(struct)
            group.attrs["redshift"] = "8.0"
            inputs = group.create_group("InputParameters")
            inputs.attrs["random_seed"] = str(seed)
            inputs.create_group("simulation_options").attrs["BOX_LEN"] = "48.0"
            astro = inputs.create_group("astro_params")
            astro.attrs["HII_EFF_FACTOR"], astro.attrs["R_BUBBLE_MAX"] = "30.0", "none"
            inputs.create_group("cosmo_params").attrs.update(COSMOLOGY)
            group.create_group("OutputFields")[name] = cube
        file.create_group("InitialConditions")
        file.create_group("photon_nonconservation_data")
    return path


def light_cone_v4(path: Path, cone: np.ndarray, distances: np.ndarray) -> Path:
    """Write what ``LightCone.save`` of 21cmFAST 4.1.1 writes, as far as the reader looks."""
    with h5py.File(path, "w") as file:
        inputs = file.create_group("InputParameters")
        inputs.attrs["random_seed"] = "7"
        inputs.create_group("simulation_options").attrs["BOX_LEN"] = "20.0"
        inputs.create_group("astro_params")
        inputs.create_group("cosmo_params").attrs.update(COSMOLOGY)
        inputs["node_redshifts"] = [9.0, 8.0, 7.0]
        file.create_group("lightcones")["neutral_fraction"] = cone
        file.create_group("global_quantities")["neutral_fraction"] = [0.9, 0.6, 0.3]
        file["lightcone_distances"] = distances
    return path


def test_version_4_coeval_turns_the_line_of_sight_to_z(tmp_path):
    cube = np.arange(64, dtype=np.float32).reshape(4, 4, 4) / 64
    ds = formats.read(coeval_v4(tmp_path / "box.h5", cube))
    fields.check(ds)
    np.testing.assert_array_equal(ds["T_b"][0, :, 0, 0], cube[0, 0, :])
    assert (float(ds["redshift"][0]), int(ds["seed"][0]), ds.attrs["box_size"]) == (8.0, 7, 48.0)
    assert float(ds["x_HI"][0]) == cube.mean()
    assert float(ds["HII_EFF_FACTOR"][0]) == 30.0
    assert "R_BUBBLE_MAX" not in ds.coords


def test_version_4_light_cone_gives_slices_at_the_redshift_of_their_distance(tmp_path):
    from astropy.cosmology import FlatLambdaCDM

    distances = np.arange(8840.0, 9040.0, 10.0)
    cone = np.random.default_rng(0).random((4, 4, len(distances)), dtype=np.float32)
    ds = formats.read(light_cone_v4(tmp_path / "cone.h5", cone, distances))
    fields.check(ds)
    model = FlatLambdaCDM(H0=67.66, Om0=float(COSMOLOGY["OMm"]))
    np.testing.assert_allclose(model.comoving_distance(ds["redshift"].values).value, distances, rtol=1e-5)
    # Nodes fall linearly by 0.3 a unit redshift: x = 0.3 + 0.3 (z - 7).
    np.testing.assert_allclose(ds["x_HI"], 0.3 + 0.3 * (ds["redshift"] - 7), atol=1e-9)
    np.testing.assert_allclose(ds["x_HI_slice"], cone.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(ds["position"][:3], [0.0, 10.0, 0.0])


def test_real_light_cone_of_version_3(shared_data):
    ds = formats.read(shared_data / "reionisation" / "21cmfast_lightcone_simrun_0.h5")
    fields.check(ds)
    assert dict(ds.sizes) == {"sample": 716, "y": 30, "x": 30}
    assert float(ds["HII_EFF_FACTOR"][0]) == pytest.approx(29.38532589994534)
    # Its own node: the file's global x_HI at its lowest node redshift stands in global_quantities.
    with h5py.File(shared_data / "reionisation" / "21cmfast_lightcone_simrun_0.h5") as file:
        nodes, x_HI = file["node_redshifts"][()], file["global_quantities/xH_box"][()]
        cone = file["lightcones/brightness_temp"][()]
    middle = int(np.argmin(np.abs(ds["redshift"].values - 8)))
    assert float(ds["x_HI"][middle]) == pytest.approx(float(np.interp(8, nodes[::-1], x_HI[::-1])), abs=0.02)
    np.testing.assert_array_equal(ds["T_b"][middle].values, cone[:, :, middle].T)


def test_real_box_of_version_3(shared_data):
    path = shared_data / "reionisation" / "21cmfast_v3_ionizedbox_z9.h5"
    assert formats.recognise(path) == "21cmfast"
    ds = formats.read(path)
    with h5py.File(path) as file:
        cube = file["IonizedBox/xH_box"][()]
    assert float(ds["x_HI"][0]) == pytest.approx(cube.mean(dtype=np.float64))
    assert (ds.attrs["box_size"], int(ds["seed"][0])) == (48.0, 1234)


def test_real_boxes_of_version_4_obey_the_brightness_of_saturated_gas(shared_data):
    folder = shared_data / "reionisation"
    ds = Fast21(
        path=str(folder / "21cmfast_v4_brightness_temp.npz"),
        also=[str(folder / "21cmfast_v4_ionized_box.npz")],
        redshift=10.0, box_size=50.0, seed=42,
    ).read()  # fmt: skip
    T_b, neutral = ds["T_b"].values[0], ds["neutral_fraction"].values[0]
    assert np.all(T_b[neutral == 0] == 0)
    # 27 mK x_HI sqrt((1+z)/10) at mean density; neutral gas is underdense, so somewhat below.
    assert 0.8 < T_b.mean() / (27 * np.sqrt(1.1) * neutral.mean()) < 1.0


def test_npz_says_what_it_cannot_know(tmp_path):
    np.savez(tmp_path / "a.npz", brightness_temp=np.zeros((2, 2, 2)))
    with pytest.raises(FormatError, match="does not say its redshift, box_size, seed"):
        formats.read(tmp_path / "a.npz")


def test_two_different_boxes_are_not_joined(tmp_path):
    cube = np.ones((4, 4, 4), np.float32)
    one, two = coeval_v4(tmp_path / "a.h5", cube), coeval_v4(tmp_path / "b.h5", cube, seed=8)
    with pytest.raises(FormatError, match="is not the same box"):
        Fast21(path=str(one), also=[str(two)]).read()


def test_a_truncated_file_is_named(tmp_path):
    path = coeval_v4(tmp_path / "box.h5", np.ones((16, 16, 16), np.float32))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FormatError, match=r"box\.h5: cannot be read as 21cmFAST output"):
        formats.read(path, format="21cmfast")


def test_files_saved_by_the_installed_21cmfast_are_read(tmp_path):
    pytest.importorskip("py21cmfast", reason="the extra skyloom[21cmfast] is not installed")
    from skyloom.simulate.reionisation import Reionisation, fast21

    point = Reionisation(engine="21cmfast", simulations=1, redshifts=1, size=16, box_size=108.0).design()[0]
    (box,) = fast21.run(point, size=16, box_size=108.0, save=tmp_path)
    ds = formats.read(next(tmp_path.glob("*.h5")))
    np.testing.assert_array_equal(ds["T_b"][0], box.T_b)
    np.testing.assert_array_equal(ds["neutral_fraction"][0], box.neutral_fraction)
    assert float(ds["ION_Tvir_MIN"][0]) == pytest.approx(point.parameters["ION_Tvir_MIN"])
