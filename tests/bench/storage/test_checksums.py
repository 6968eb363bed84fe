"""Seals: what was written comes back, and no damage to it is believed."""

import io
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from opselect.bench.storage.checksums import checksummed_line, read_checksummed, verified_line, write_checksummed

objects = st.sampled_from([b'{"a":1}', b'{"version":1,"name":"\xc3\xa4 \\" }"}', b'{"checksum":"0123456789abcdef"}'])


@given(st.binary(max_size=300))
def test_a_sealed_file_gives_its_content_back(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed"
    write_checksummed(path, content)
    assert read_checksummed(path) == content


@settings(max_examples=300)
@given(st.binary(max_size=300), st.data())
def test_a_file_with_a_changed_lost_or_added_byte_is_not_believed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "sealed"
    write_checksummed(path, content)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
    for damaged in (
        whole[:place] + changed + whole[place + 1 :],
        whole[:place] + whole[place + 1 :],
        whole[:place],
        whole[:place] + b"\0" * (len(whole) - place),
        whole + changed,
    ):
        path.write_bytes(damaged)
        assert read_checksummed(path) is None or damaged == whole


def test_torch_believes_a_flipped_bit_where_a_seal_does_not(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"weights": torch.arange(100.0)}, buffer)
    write_checksummed(tmp_path / "weights.pt", buffer.getvalue())
    # The seal at its end is nothing to torch.
    assert torch.equal(torch.load(tmp_path / "weights.pt")["weights"], torch.arange(100.0))
    content = bytearray((tmp_path / "weights.pt").read_bytes())
    content[content.index(torch.arange(100.0).numpy().tobytes()) + 202] ^= 1
    (tmp_path / "weights.pt").write_bytes(content)
    assert not torch.equal(torch.load(tmp_path / "weights.pt")["weights"], torch.arange(100.0))
    assert read_checksummed(tmp_path / "weights.pt") is None


@given(objects)
def test_a_sealed_line_is_json_and_gives_its_text_back(text: bytes) -> None:
    assert verified_line(checksummed_line(text)) == (text, True)


@given(objects, st.data())
def test_no_changed_byte_of_a_line_is_believed_or_makes_it_a_line_without_a_checksum(
    text: bytes, data: st.DataObject
) -> None:
    line = checksummed_line(text)
    place = data.draw(st.integers(0, len(line) - 1))
    changed = line[:place] + bytes([line[place] ^ data.draw(st.integers(1, 255))]) + line[place + 1 :]
    assert verified_line(changed) == (changed, False) or verified_line(changed)[1] is False


def test_a_line_without_a_checksum_is_left_as_it_is() -> None:
    for line in (b"", b"{}", b'{"a":1}', b'{"environment":{"commit":"0123456789ab"}}'):
        assert verified_line(line) == (line, None)
