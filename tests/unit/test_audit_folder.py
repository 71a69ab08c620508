"""Audit files after a power cut anywhere: what was whole stays, what was torn goes."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.chain import Point, Record, Verified, line_of, verify_lines
from nodeagent.ops.audit_folder import AuditFolder, files_of, read_batches

FILE_BYTES_MAX = 700  # Two records a file.
RECORDS = 5


def write(disk: AuditFolder, count: int) -> None:
    for number in range(count):
        line, end = line_of(Record(number, "ann", "/x", "allowed"), disk.end)
        disk.write([line], end)


def lines_in(folder: Path) -> list[str]:
    return [line for batch in read_batches(folder, 0) for line in batch]


def filled(folder: Path) -> list[str]:
    disk = AuditFolder(folder, FILE_BYTES_MAX)
    assert disk.open(0) == []
    write(disk, RECORDS)
    disk.close()
    return lines_in(folder)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_file_that_ends_anywhere_is_continued_from_its_last_whole_line(
    data: st.DataObject,
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        before = filled(folder)
        newest = files_of(folder)[-1]
        content = newest.read_bytes()
        at = data.draw(st.integers(0, len(content)))
        newest.write_bytes(content[:at])
        disk = AuditFolder(folder, FILE_BYTES_MAX)
        mended = [event for event, _ in disk.open(0)]
        kept = RECORDS - content.count(b"\n") + content[:at].count(b"\n")
        torn = at > 0 and content[at - 1 : at] != b"\n"
        assert mended == (["audit/TailCut"] if torn else [])
        assert disk.end.sequence == kept
        write(disk, 3)
        disk.close()
        after = lines_in(folder)
        found = verify_lines(after)
        assert isinstance(found, Verified)
        assert found.count == kept + 3
        assert after[:kept] == before[:kept]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, RECORDS - 1), st.data())
def test_a_changed_byte_never_leads_to_a_log_that_is_silently_whole(
    index: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        filled(folder)
        path = data.draw(st.sampled_from(files_of(folder)))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 127))
        path.write_bytes(content)
        disk = AuditFolder(folder, FILE_BYTES_MAX)
        mended = disk.open(0)
        write(disk, 2)
        disk.close()
        found = verify_lines(lines_in(folder))
        assert mended or not isinstance(found, Verified)


def test_a_log_of_several_files_is_read_from_anywhere(tmp_path: Path) -> None:
    lines = filled(tmp_path)
    assert len(files_of(tmp_path)) == 3
    for after in range(RECORDS + 2):
        assert [x for batch in read_batches(tmp_path, after) for x in batch] == lines[after:]
    assert Point() == AuditFolder(tmp_path / "none", FILE_BYTES_MAX).end
