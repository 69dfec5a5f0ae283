"""The list of lines that no test runs: each is there, once, and has a reason."""

import uncovered

FEW = 60  # entries; what can be tested is tested


def test_entries_name_lines_of_the_source_and_give_a_reason():
    found = list(uncovered.entries(uncovered.LIST.read_text(encoding="utf-8")))
    wrong = [one for one in found if not one.reason or len(one.places(uncovered.source_of(one.file))) != 1]
    assert (wrong, len(set(found))) == ([], len(found))
    assert 0 < len(found) <= FEW
    assert {one.file.partition("/")[0] for one in found} == {"specdnn"}


def test_an_entry_stands_for_its_line_and_the_block_below_it():
    source = ["def one():", "    if here:", "        return 1", "", "        pass", "    return 2", "return 2"]
    block = uncovered.Entry("", "if here:", "")
    assert list(block.lines(source)) == [2, 3, 4, 5]
    assert uncovered.Entry("", "return 2", "").places(source) == [6, 7]
    assert list(uncovered.Entry("", "pass // return 2", "").lines(source)) == [6]
    assert list(uncovered.Entry("", "gone", "").lines(source)) == []


def test_a_line_of_the_list_that_begins_with_a_hash_is_the_reason_for_those_below():
    found = list(uncovered.entries("a.py: x\n# needs a GPU\na.py: y = {1: 2}\n\nb.py: z\n"))
    assert [(one.file, one.text, one.reason) for one in found] == [
        ("a.py", "x", ""),
        ("a.py", "y = {1: 2}", "needs a GPU"),
        ("b.py", "z", "needs a GPU"),
    ]
