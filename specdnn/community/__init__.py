"""Graph -> edge file, the oslom program, tp file -> Cover; or the same by CCME. Knows nodes and edges only.

`oslom` and `ccme` are the calls for any graph in Python, `run_program` and `run_ccme` those of the pipeline. The
program is our own, which lies in an installed package and is built on first use in the source tree (`oslom/`), or any
other with the same command line and files (`--oslom-bin`, `OSLOM_BIN`).
"""

from specdnn.community.binaries import is_ours, program
from specdnn.community.call import oslom
from specdnn.community.ccme import ccme, run_ccme
from specdnn.community.errors import OslomError
from specdnn.community.formats import CommunityRun, edge_text, read_edges, read_tp, tp_text, with_scores
from specdnn.community.runner import run_program

__all__ = (
    "CommunityRun",
    "OslomError",
    "ccme",
    "edge_text",
    "is_ours",
    "oslom",
    "program",
    "read_edges",
    "read_tp",
    "run_ccme",
    "run_program",
    "tp_text",
    "with_scores",
)
