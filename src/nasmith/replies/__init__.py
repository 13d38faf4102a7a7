"""Finds programs, edits and designs in the replies of language models that are asked, as opposed to continued.

Pure functions of text, in time linear in its length; nothing is executed. Whatever a reply says, it becomes a program's text or
a reason why it is none. Fences that were forgotten and prose around the code are forgiven; what could mean two things is not.
"""

from __future__ import annotations

from nasmith.replies.designs import design_in, designs_in
from nasmith.replies.edits import NoEditsError, apply_edits, end_of_edits
from nasmith.replies.fences import LONGEST, check_length, fenced, thinking, unix
from nasmith.replies.programs import end_of_block, program_in

__all__ = [
    "LONGEST",
    "NoEditsError",
    "apply_edits",
    "check_length",
    "design_in",
    "designs_in",
    "end_of_block",
    "end_of_edits",
    "fenced",
    "program_in",
    "thinking",
    "unix",
]
