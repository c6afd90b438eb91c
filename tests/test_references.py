"""The bibliography: every paper a page cites is there, complete, and in order."""

import re
import unicodedata
from pathlib import Path

import pytest
from pybtex.database import parse_file

BOOK = Path(__file__).resolve().parent.parent / "book"
ENTRIES = parse_file(BOOK / "references.bib").entries
CITED = {
    (page.relative_to(BOOK).as_posix(), key.strip())
    for page in BOOK.rglob("*.md")
    for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text("utf-8"))
    for key in keys.split(",")
}


def test_the_pages_cite_papers():
    assert len(CITED) > 10


@pytest.mark.parametrize(("page", "key"), sorted(CITED))
def test_a_cited_paper_is_in_the_bibliography(page, key):
    assert key in ENTRIES, f"book/{page} cites {key}, which book/references.bib does not have"


def test_entries_are_sorted_by_key():
    assert list(ENTRIES) == sorted(ENTRIES)


@pytest.mark.parametrize("key", list(ENTRIES))
def test_an_entry_says_who_what_when_and_where(key):
    entry = ENTRIES[key]
    ascii_name = unicodedata.normalize("NFKD", entry.persons["author"][0].last_names[-1]).lower()
    surname = re.sub(r"[^a-z]", "", ascii_name)
    assert entry.fields["title"] and re.fullmatch(r"(19|20)\d\d", entry.fields["year"])
    assert {"booktitle", "journal", "publisher", "eprint"} & set(entry.fields), f"{key}: where was it published?"
    assert key.startswith(surname) or surname in key, f"{key} does not begin with its first author, {surname}"
    assert entry.fields["year"] in key, f"{key} is of {entry.fields['year']}"
    if "eprint" in entry.fields:
        assert re.fullmatch(r"\d{4}\.\d{4,5}", entry.fields["eprint"])
        number, year = entry.fields["eprint"], int(entry.fields["year"])
        assert -1 <= year - (2000 + int(number[:2])) <= 3, f"{key}: arXiv {number} cannot be of {year}"
