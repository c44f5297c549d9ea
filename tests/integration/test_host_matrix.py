"""Every policy on every host: each cell trains, or is refused as documented."""

import pytest

from tests.config_building import ROOT
from tests.host_matrix import POLICIES, SCORERS, SOURCES, outcomes, rows
from tests.tiny_hosts import HOSTS


@pytest.fixture(scope='module')
def results():
    return {name: outcomes(host) for name, host in HOSTS.items()}


def test_the_documented_table_is_what_happens(results):
    document = (ROOT / 'docs' / 'matrix.md').read_text()
    for line in rows(results):
        assert line in document, 'run python -m tests.host_matrix > docs/matrix.md'


def test_no_host_is_left_out(results):
    for name, cells in results.items():
        assert {policy for policy, _ in cells} == set(POLICIES), name
        assert {source for _, source in cells} == {
            None,
            *SCORERS,
            *SOURCES.values(),
        }, name


def test_refusals_are_one_sentence_for_a_user(results):
    reasons = {reason for cells in results.values() for reason in cells.values()}
    assert len(reasons) > 1
    for reason in reasons - {''}:
        assert 20 < len(reason) < 600
        assert 'Traceback' not in reason
