"""The log file: the events of a recording, one JSON object a line; `docs/log-format.md` describes it for other readers.

    {"gradviz":{"producer":"core","target":"train.py","schema":[1,0]}}
    {"site":{"id":0,"file":"train.py","line":4,"target":"x"}}
    {"op":[2,1,0,0,[1,"2"]]}

Each line is an object with one key, the record's tag. Its value holds the record's fields by name, those that have
their default left out. Only an op, of which there may be millions, is an array.
"""

from __future__ import annotations

from gradviz.gvlog.reading import is_log, read_log
from gradviz.gvlog.writing import LogWriter

__all__ = ["LogWriter", "is_log", "read_log"]
