"""What a cut leaves is a log that the broker could have written."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.topics import SUBMITTED
from tests.chaos import losses
from tests.chaos.tails import batches, cut_tail, end_of


def _batch(first: int, n: int, epoch: int = 0) -> bytes:
    body = struct.pack(">ibIhi", epoch, 2, 0, 0, n - 1) + bytes(30 + n)
    return struct.pack(">qi", first, len(body)) + body


@pytest.fixture
def copies(tmp_path: Path) -> list[Path]:
    """A partition of ten batches of three records on two brokers, with an election in the middle."""
    folders = []
    for name in ("one", "two"):
        folder = tmp_path / name / "t-0"
        folder.mkdir(parents=True)
        (folder / "00000000000000000000.log").write_bytes(b"".join(_batch(3 * n, 3, n // 5) for n in range(10)))
        (folder / "00000000000000000000.index").write_bytes(b"x")
        (folder / "leader-epoch-checkpoint").write_text("0\n3\n0 0\n1 15\n2 27\n")
        folders.append(folder)
    return folders


def test_a_cut_takes_whole_batches_off_all_copies_alike(copies: list[Path]) -> None:
    assert [end_of(folder) for folder in copies] == [30, 30]
    assert cut_tail(copies, 0.35) == 9
    assert [end_of(folder) for folder in copies] == [21, 21]
    for folder in copies:
        segment = (folder / "00000000000000000000.log").read_bytes()
        assert sum(batch.size for batch in batches(segment)) == len(segment)
        assert not list(folder.glob("*.index"))
        assert (folder / "leader-epoch-checkpoint").read_text() == "0\n2\n0 0\n1 15\n"


def test_at_least_one_batch_goes_and_an_empty_partition_loses_nothing(copies: list[Path], tmp_path: Path) -> None:
    assert cut_tail(copies, 0.0) == 3
    assert cut_tail(copies, 1.0) == 27
    assert [end_of(folder) for folder in copies] == [0, 0]
    assert cut_tail(copies, 1.0) == 0


def test_a_cluster_is_down_while_the_same_tail_is_cut_off_the_copies_of_all_brokers(copies: list[Path]) -> None:
    disks = {node: folder.parent for node, folder in enumerate(copies, 1)}
    for folder in copies:
        folder.rename(folder.parent / f"{SUBMITTED.name}-0")
    ends: list[list[int]] = []

    def see() -> None:
        ends.append([end_of(disk / f"{SUBMITTED.name}-0") for disk in disks.values()])

    cluster: Any = SimpleNamespace(nodes=range(1, 3), data=disks.__getitem__, stop=see, start=see)
    stack: Any = SimpleNamespace()
    assert losses.lose_tails(stack, [SUBMITTED], 0.35, cluster) == 9
    assert ends == [[30, 30], [21, 21]]
