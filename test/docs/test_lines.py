"""Lines of the documents are short enough to be read and compared in an editor."""

import re
from itertools import chain

from kit.support import ROOT

MOST = 120  # characters
BARS = 3  # at least, in a row of a table
BORDER = re.compile(r" *=+( +=+)+")  # of a table, whose rows cannot be broken


def too_long(text):
    """Return the numbers of lines outside of tables that are longer than `MOST`.

    Tables of reStructuredText are between borders; others have bars between their cells.
    """
    in_table, found = False, []
    for number, line in enumerate(text.splitlines(), 1):
        if BORDER.fullmatch(line):
            in_table = True
        elif not line.strip():
            in_table = False
        elif not in_table and len(line) > MOST and line.count("|") < BARS:
            found.append(number)
    return found


def test_lines_of_documents_are_not_too_long():
    documents = chain(ROOT.glob("doc/**/*.rst"), [ROOT / "README.md", ROOT / "CHANGES.rst"])
    found = {str(path.relative_to(ROOT)): too_long(path.read_text()) for path in documents}
    assert {name: numbers for name, numbers in found.items() if numbers} == {}


def test_only_rows_of_tables_may_be_longer():
    row = "x" * (MOST + 1)
    assert too_long(f"{row[1:]}\n\n{row}\n") == [3]
    assert too_long(f"=== ===\n{row}\n=== ===\n\n{row}\n") == [5]
