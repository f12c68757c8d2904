"""What docs/importing.md states of public zoos, from the results that are kept."""

from __future__ import annotations

from benchmarks.zoo import networks, page, results

TEXT = page.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_results():
    assert TEXT.count("<!-- tables of ") == 3
    assert page.filled(TEXT) == TEXT, "python -m benchmarks.zoo --table"


def test_every_network_has_a_result():
    found = results.read(results.RESULTS)
    assert {*found} == {*networks.names()}
    assert len({one["code"] for one in found.values()}) == 1


def test_those_that_were_drawn_are_not_listed():
    drawn = results.read(results.UNSEEN)
    assert len(drawn) == 10
    assert drawn.keys().isdisjoint(networks.names())


def test_numbers_are_of_networks_that_were_imported():
    found, imported = results.read(results.NUMBERS), results.read(results.RESULTS)
    assert found
    assert not [name for name in found if "failed" in imported[name]]
