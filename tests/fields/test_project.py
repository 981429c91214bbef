"""Cutting: every map is exactly the part of its cube that it says, and remembers which."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from skyloom import fields
from skyloom.errors import FieldSetError, UsageError
from skyloom.fields.convention import check
from skyloom.fields.project import cut

N, BOX = 8, 40.0
CELL = BOX / N
RNG = np.random.default_rng(50)
T_B = RNG.standard_normal((2, N, N, N)).astype(np.float32)
NEUTRAL = RNG.random((2, N, N, N)).astype(np.float32)
NORMAL = {"z": 0, "y": 1, "x": 2}  # the axis of a cube (z, y, x)


def cubes(periodic: bool = True, **more: tuple) -> xr.Dataset:
    ranks = {name: ranked[3] for name, ranked in more.items()}
    return fields.build(
        {
            "T_b": (T_B, "mK", "brightness temperature"),
            "neutral_fraction": (NEUTRAL, "", "neutral fraction"),
            **{name: spec[:3] for name, spec in more.items()},
        },
        ids=["a", "b"],
        groups=["g0", "g1"],
        seeds=[7, 8],
        redshifts=[8.0, 9.0],
        box_size=BOX,
        suite="demo",
        realism="toy",
        periodic=periodic,
        ranks=ranks,
        labels={"zeta": fields.Label([10.0, 20.0], "parameter", "", "", 0.0, 50.0)},
    )


def expected(cube: np.ndarray, axis: str, position: float, thickness: float) -> np.ndarray:
    """The mean of the cells between the lower and the upper face, taken one by one."""
    first, cells = round(position / CELL), round(thickness / CELL)
    layers = [np.moveaxis(cube, NORMAL[axis], 0)[(first + i) % N].astype(np.float64) for i in range(cells)]
    return np.mean(layers, axis=0)


CUTS = [
    {"kind": "slice", "axes": ["z"], "count": 8},
    {"kind": "slice", "axes": ["x", "y", "z"], "count": 3, "seed": 0},
    {"kind": "slab", "axes": ["y"], "count": 4, "depth": 15.0},
    {"kind": "slab", "axes": ["x", "z"], "count": 2, "depth": 22.0, "seed": 5},
    {"kind": "slab", "axes": ["z"], "count": 1, "depth": BOX},
]


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("settings", CUTS)
def test_every_map_is_what_its_coordinates_say(settings: dict, periodic: bool) -> None:
    ds = cubes(periodic)
    maps = cut(ds, **settings)
    check(maps)
    assert maps.sizes["sample"] == 2 * len(settings["axes"]) * settings["count"]
    assert len(np.unique(maps["sample"])) == maps.sizes["sample"]
    for i in range(maps.sizes["sample"]):
        m = maps.isel(sample=i)
        row = "ab".index(m["parent"].item())
        place = (m["axis"].item(), m["position"].item(), m["thickness"].item())
        np.testing.assert_allclose(m["T_b"], expected(T_B[row], *place), atol=1e-6)
        own = expected(NEUTRAL[row], *place)
        assert m["x_HI_slice"].item() == pytest.approx(own.mean(), rel=1e-6)
        assert m["x_HI"].item() == pytest.approx(NEUTRAL[row].mean(dtype=np.float64), rel=1e-12)
        assert [m[c].item() for c in ("group", "seed", "redshift", "zeta")] == [
            ds[c].values[row] for c in ("group", "seed", "redshift", "zeta")
        ]
        if not periodic:
            assert m["position"].item() + m["thickness"].item() <= BOX
    assert maps["T_b"].dtype == np.float32
    assert maps["T_b"].attrs == ds["T_b"].attrs
    assert maps.attrs["box_size"] == BOX and maps.attrs["periodic"] == int(periodic)
    step = fields.provenance(maps)["steps"][-1]
    assert step["step"] == "cut" and step["kind"] == settings["kind"] and step["axes"] == settings["axes"]


def test_positions_are_evenly_spaced() -> None:
    maps = cut(cubes(), kind="slice", count=4)
    assert maps["position"].values[:4].tolist() == [0.0, 10.0, 20.0, 30.0]
    assert maps["thickness"].values.tolist() == [CELL] * 8
    assert maps["sample"].values[:2].tolist() == ["a-z000", "a-z002"]
    open_box = cut(cubes(periodic=False), kind="slab", depth=20.0, count=2)  # room for 5 places of 4 cells
    assert open_box["position"].values[:2].tolist() == [0.0, 10.0]


def test_depth_is_rounded_to_cells_and_told() -> None:
    maps = cut(cubes(), kind="slab", depth=12.0, count=1)  # 2.4 cells
    assert maps["thickness"].values.tolist() == [10.0, 10.0]


def test_slab_goes_on_at_the_other_face_of_a_periodic_box() -> None:
    maps = cut(cubes(), kind="slab", depth=35.0, count=8)
    last = maps.isel(sample=7)
    assert last["position"].item() == 35.0
    np.testing.assert_allclose(last["T_b"], T_B[0][[7, 0, 1, 2, 3, 4, 5]].mean(0), atol=1e-6)


def test_seed_moves_positions_by_name_and_not_by_place() -> None:
    settings = {"kind": "slice", "axes": ["x", "z"], "count": 2}
    both = cut(cubes(), **settings, seed=3)
    alone = cut(cubes().isel(sample=[1]), **settings, seed=3)
    xr.testing.assert_equal(both.isel(sample=slice(4, None)), alone)
    found = {tuple(cut(cubes(), **settings, seed=s)["position"].values) for s in range(8)}
    assert len(found) > 4
    assert tuple(cut(cubes(), **settings)["position"].values[:2]) == (0.0, 20.0)


def test_mean_of_all_slices_is_the_mean_of_the_cube() -> None:
    maps = cut(cubes(), kind="slice", axes=["y"], count=N)
    for row, parent in enumerate("ab"):
        own = maps.isel(sample=(maps["parent"] == parent).values)
        assert float(own["x_HI_slice"].mean()) == pytest.approx(float(own["x_HI"][0]), rel=1e-6)
        np.testing.assert_allclose(own["T_b"].mean("sample"), T_B[row].mean(axis=1), atol=1e-6)


def test_label_of_the_box_that_is_there_is_kept() -> None:
    attributes = {"role": "label", "units": "", "long_name": "mean of a finer grid"}
    ds = cubes().assign_coords(x_HI=xr.Variable("sample", [0.25, 0.75], attributes))
    maps = cut(ds, kind="slice", count=1)
    assert maps["x_HI"].values.tolist() == [0.25, 0.75]
    without = cut(ds.drop_vars("neutral_fraction"), kind="slice", count=1)
    assert "x_HI_slice" not in without.coords


def test_mean_of_integers_is_no_integer() -> None:
    ds = cubes(halos=(np.arange(2 * N**3).reshape(2, N, N, N) % 2, "", "halo count", (0, "")))
    assert cut(ds, kind="slab", axes=["x"], depth=10.0, count=1)["halos"].values[0, 0, 0] == 0.5


def test_lazy_cubes_give_lazy_maps_and_only_the_label_field_is_read() -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("T_b was read")

    whole = cubes()
    lazy_T_b = da.from_array(T_B, chunks=(1, N, N, N)).map_blocks(
        fail, dtype="f4", meta=np.empty((0,) * 4, "f4")
    )
    ds = whole.assign(
        T_b=whole["T_b"].copy(data=lazy_T_b),
        neutral_fraction=whole["neutral_fraction"].chunk(sample=1),
    )
    for settings in (*CUTS, {"kind": "slice", "size": 4, "seed": 1}):
        maps = cut(ds, **settings)
        assert isinstance(maps["T_b"].data, da.Array)
        now = cut(whole, **settings)
        np.testing.assert_allclose(maps["neutral_fraction"].compute(), now["neutral_fraction"], atol=1e-7)
        xr.testing.assert_allclose(
            maps["x_HI_slice"].drop_vars("sample"), now["x_HI_slice"].drop_vars("sample")
        )
        with pytest.raises(AssertionError, match="T_b was read"):
            maps["T_b"].compute()


@pytest.mark.parametrize("seed", [None, 0, 4])
def test_windows_of_maps(seed: int | None) -> None:
    whole = cut(cubes(), kind="slice", axes=["x"], count=2)
    windows = cut(whole, kind="crop", count=3, size=5, seed=seed)
    check(windows)
    assert windows["T_b"].shape == (12, 5, 5)
    for i, name in enumerate(windows["sample"].values):
        source, _, corner = str(name).partition("-w")
        y, x = map(int, corner.split("-"))
        m = whole.sel(sample=source)
        moved = np.roll(m["T_b"].values, (-y, -x), axis=(0, 1))  # a periodic map goes on over its edge
        np.testing.assert_array_equal(windows["T_b"].values[i], moved[:5, :5])
        for kept in ("parent", "axis", "position", "thickness", "group"):
            assert windows[kept].values[i] == m[kept].item()
        own = windows["neutral_fraction"].values[i].mean(dtype=np.float64)
        assert windows["x_HI_slice"].values[i] == pytest.approx(own, rel=1e-12)
    assert len(np.unique(windows["sample"])) == 12
    assert windows.attrs["box_size"] == BOX * 5 / N and windows.attrs["periodic"] == 0
    assert fields.parent_box(windows) == (BOX, True)
    assert fields.parent_box(cut(windows, kind="crop", count=1, size=2)) == (BOX, True)


def test_slices_cut_to_windows_at_once() -> None:
    maps = cut(cubes(), kind="slice", axes=["z"], count=2, size=4, seed=9)
    assert maps["T_b"].shape == (4, 4, 4) and maps.attrs["periodic"] == 0
    assert (
        maps["position"].values.max() >= maps.attrs["box_size"] * 0.5
    )  # measured in the box, not in the window
    whole = cut(cubes(), kind="slice", axes=["z"], count=2, size=N)
    assert whole.attrs["periodic"] == 1 and "parent_size" not in whole.attrs


@pytest.mark.parametrize(
    ("axis", "component", "of_map"),
    [("z", "x", "x"), ("z", "y", "y"), ("z", "z", "z"), ("y", "z", "y"), ("y", "y", "z"), ("x", "y", "x")],
)
def test_vectors_are_named_in_the_frame_of_the_map(axis: str, component: str, of_map: str) -> None:
    # The component that points along the rows or columns of the map grows along them if the field is its own
    # coordinate: v_component = coordinate of that direction.
    coordinate = np.broadcast_to(
        np.moveaxis(np.arange(N, dtype=float)[:, None, None], 0, NORMAL[component]), (2, N, N, N)
    )
    maps = cut(cubes(v=(coordinate, "km/s", "", (1, component))), kind="slice", axes=[axis], count=1)
    assert maps["v"].attrs["component"] == of_map
    gradient = [float(np.diff(maps["v"].values, axis=a).mean()) for a in (1, 2)]
    assert gradient == {"y": [1.0, 0.0], "x": [0.0, 1.0], "z": [0.0, 0.0]}[of_map]


def test_vectors_are_cut_along_one_axis_at_a_time() -> None:
    ds = cubes(v=(T_B, "km/s", "", (2, "xz")))
    assert cut(ds, kind="slice", axes=["y"], count=1)["v"].attrs["component"] == "xy"
    with pytest.raises(FieldSetError, match="'v' is part of a vector, and is to be cut along x, z"):
        cut(ds, kind="slice", axes=["x", "z"], count=1)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"kind": "slise"}, UsageError, "did you mean 'slice'"),
        ({"kind": "slice", "axes": ["w"]}, UsageError, r"axes are \['w'\]"),
        ({"kind": "slice", "axes": ["x", "x"]}, UsageError, "each once"),
        ({"kind": "slice", "axes": []}, UsageError, "one or more"),
        ({"kind": "slice", "count": 0}, UsageError, "count is 0"),
        ({"kind": "slice", "count": 9}, UsageError, "only 8 places for 1 of 8 cells"),
        ({"kind": "slice", "depth": 5.0}, UsageError, "only a slab has one"),
        ({"kind": "slice", "size": 0}, UsageError, "size is 0"),
        ({"kind": "slice", "size": 9}, UsageError, "windows of 9 pixels do not fit in maps of 8"),
        ({"kind": "slab"}, UsageError, "a slab needs a depth"),
        ({"kind": "slab", "depth": 1.0}, UsageError, "0 of 8 cells"),
        ({"kind": "slab", "depth": 50.0}, UsageError, "10 of 8 cells"),
        ({"kind": "crop"}, UsageError, "a crop needs a size"),
        ({"kind": "crop", "size": 4}, FieldSetError, r"'T_b' has the dimensions \('sample', 'z', 'y', 'x'\)"),
    ],
)
def test_wrong_arguments(settings: dict, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        cut(cubes(), **settings)


def test_what_cannot_be_cut() -> None:
    with pytest.raises(FieldSetError, match="these are maps already"):
        cut(fields.example(groups=1, per_group=1, size=4), kind="slice", count=1)
    with pytest.raises(FieldSetError, match="8 × 4 × 4 cells, only cubes"):
        cut(cubes().isel(x=slice(4), y=slice(4)), kind="slice", count=1)
    with pytest.raises(UsageError, match="5 different windows of 7 pixels do not fit"):
        cut(cut(cubes(periodic=False), kind="slice", count=1), kind="crop", size=7, count=5)


def test_a_column_is_the_integral_and_carries_the_unit_of_a_length() -> None:
    slabs = {
        of: cut(cubes(), kind="slab", axes=["y"], count=2, depth=15.0, of=of) for of in ("mean", "column")
    }
    np.testing.assert_allclose(slabs["column"]["T_b"], 15.0 * slabs["mean"]["T_b"], rtol=1e-5, atol=1e-5)
    assert slabs["column"]["T_b"].attrs["units"] == "mK Mpc"
    check(slabs["column"])
    assert "x_HI_slice" not in slabs["column"].coords and "x_HI" in slabs["column"].coords
    one = cut(cubes(), kind="slab", axes=["z"], count=1, depth=CELL, of="column")
    np.testing.assert_allclose(one["T_b"][0], CELL * T_B[0, 0], rtol=1e-6)


def test_the_log_mean_is_geometric_and_least_of_all_means() -> None:
    def density(of: str) -> np.ndarray:
        return cut(cubes(), kind="slab", axes=["z"], count=2, depth=20.0, of=of)["neutral_fraction"].values

    hand = np.exp(np.log(NEUTRAL[:, :4].astype(np.float64)).mean(axis=1))
    np.testing.assert_allclose(density("log_mean")[::2], hand, rtol=1e-6)
    assert (density("log_mean") <= density("mean")).all()  # the inequality of the means


def test_windows_on_a_grid_tile_the_map_and_move_by_half_a_window() -> None:
    tiles = cut(cubes(), kind="slice", axes=["z"], count=1, size=4, crops=4)["T_b"].values[:4]
    face = T_B[0, 0]
    np.testing.assert_array_equal(np.block([[tiles[0], tiles[1]], [tiles[2], tiles[3]]]), face)
    # 16 windows of half the side: the tiles of the map and of its copies rolled by a quarter.
    many = cut(cubes(), kind="slice", axes=["z"], count=1, size=4, crops=16)["T_b"].values[:16]
    rolled = [np.roll(face, (-y, -x), (0, 1)) for y in (0, 2) for x in (0, 2)]
    wanted = {r[a : a + 4, b : b + 4].tobytes() for r in rolled for a in (0, 4) for b in (0, 4)}
    assert {window.tobytes() for window in many} == wanted


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": "slab", "depth": 10.0, "of": "colum"}, "did you mean 'column'"),
        ({"kind": "slice", "of": "log_mean"}, "only a slab is projected"),
        ({"kind": "slice", "crops": 4}, "no size for windows"),
        ({"kind": "crop", "size": 4, "crops": 4}, "told by count"),
    ],
)
def test_projections_and_crops_that_make_no_sense(settings: dict, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        cut(cubes(), **settings)
    assert text in str(caught.value)
