"""Event files of HAWC (XCDF, versions 2 and 3), read and written without the reference library.

XCDF (explicitly compacted data format, J. Braun 2014) keeps events in blocks. Each field has a resolution;
of a value, a block holds how many steps it lies above the smallest one, in as many bits as the block needs.
``docs/reference/xcdf.md`` is the format, byte by byte.
"""

from skyloom.formats.xcdf.events import event_set, write_events
from skyloom.formats.xcdf.file import File
from skyloom.formats.xcdf.reading import Xcdf
from skyloom.formats.xcdf.records import Alias, Field, Range
from skyloom.formats.xcdf.writer import write

__all__ = ["Alias", "Field", "File", "Range", "Xcdf", "event_set", "write", "write_events"]
