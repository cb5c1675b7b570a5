"""Rules of permissions.py: real files, real modes."""

import os
from pathlib import Path

import pytest

from utils.permissions import no_wider_than


@pytest.mark.parametrize(
    ("folder_mode", "umask", "made"),
    [
        pytest.param(0o755, 0o022, (0o644, 0o755), id="public"),
        pytest.param(0o700, 0o022, (0o600, 0o700), id="private"),
        pytest.param(0o750, 0o022, (0o640, 0o750), id="for-the-group"),
        pytest.param(0o705, 0o022, (0o604, 0o705), id="not-for-the-group"),
        pytest.param(0o711, 0o022, (0o600, 0o700), id="names-are-secret"),
        pytest.param(0o744, 0o022, (0o600, 0o700), id="files-cannot-be-opened"),
        pytest.param(0o755, 0o077, (0o600, 0o700), id="umask-is-stricter"),
        pytest.param(0o700, 0o000, (0o600, 0o700), id="no-umask"),
        pytest.param(0o770, 0o002, (0o660, 0o770), id="group-writes"),
    ],
)
def test_what_is_made_is_no_easier_to_read(
    tmp_path: Path, folder_mode: int, umask: int, made: tuple[int, int]
) -> None:
    """A class that cannot read the folder cannot read what is made, and the umask is as before afterwards."""
    folder = tmp_path / "photos"
    folder.mkdir()
    folder.chmod(folder_mode)
    before = os.umask(umask)
    try:
        with no_wider_than(folder):
            (tmp_path / "file").write_bytes(b"")
            (tmp_path / "made").mkdir()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)

    assert tuple((tmp_path / name).stat().st_mode & 0o777 for name in ("file", "made")) == made


def test_a_folder_that_is_missing_changes_nothing(tmp_path: Path) -> None:
    """That there is no folder is told elsewhere."""
    with no_wider_than(tmp_path / "missing"):
        before = os.umask(0)
        os.umask(before)

    assert before == os.umask(before)
