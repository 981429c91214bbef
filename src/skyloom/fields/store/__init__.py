"""Field sets on disk: a folder of netCDF-4 shards and a manifest with their digests.

Every shard is a whole netCDF-4 file, so that xarray reads it without Skyloom; ``manifest.json`` says which
shards there are, how large they are and what their sha256 is. Maps lie contiguously, or each in a chunk of
its own, so that reading any map reads no other. A shard appears under its name only when it is whole, and the
manifest only when all shards are: an interrupted import goes on where it stopped, and many processes may
write at once.

The written form of the layout is ``docs/reference/field-set.md``.
"""

from skyloom.fields.store.lazy import export_zarr, open
from skyloom.fields.store.manifest import verify
from skyloom.fields.store.reader import Reader
from skyloom.fields.store.writer import ShardWriter, write

__all__ = ["Reader", "ShardWriter", "export_zarr", "open", "verify", "write"]
