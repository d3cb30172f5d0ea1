"""The folder for issued files, which is tested before anything is sealed.

Seals and ledger entries cannot be undone, so obstacles to writing are looked for first. If writing still fails (the
disk fills up meanwhile), nothing is lost: the files are in the register, and repeating the command writes them.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import Malformed, StorageError
from trust.storage.folder import write_durably

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\s]+')
_USUAL_FILE = 300_000
"""The usual size of an issued file with a photograph, in bytes."""


def check_out_folder(folder: Path, files: int) -> None:
    """Raises `Malformed` for obstacles that can be found without making the folder, as for a dry run."""
    standing = folder
    while not os.path.lexists(standing) and standing != standing.parent:
        standing = standing.parent
    if not standing.is_dir():
        raise _unusable(folder, f"{standing.name} is not a folder", f"{standing.name} 不是文件夹")
    if not os.access(standing, os.W_OK | os.X_OK) or os.statvfs(standing).f_flag & os.ST_RDONLY:
        raise _unusable(folder, "nothing may be written there", "没有写入权限")
    free = shutil.disk_usage(standing).free
    if free < files * _USUAL_FILE:
        short, needed = f"{free / 1e6:.0f} MB", f"{files * _USUAL_FILE / 1e6:.0f} MB"
        raise _unusable(
            folder, f"{short} are free and about {needed} are needed", f"剩余 {short}，约需 {needed}"
        )


def make_out_folder(folder: Path, files: int) -> None:
    """Makes the folder and tests it by writing a temporary file. Raises `Malformed`."""
    check_out_folder(folder, files)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(65_536))
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as exc:
        why = exc.strerror or "it cannot be written"
        raise _unusable(folder, why, f"无法写入：{why}") from exc


def file_name(issued: IssuedECertificate) -> str:
    """A file name by which clerks search and which every system accepts: FOOD-JY25301020012345.pdf, with -v2 for a
    second version.

    Characters of the number that are not allowed in file names, on Windows or in archives, are replaced by hyphens.
    """
    number = _UNSAFE.sub("-", issued.number).strip("-. ")
    later = f"-v{issued.version}" if issued.version > 1 else ""
    return f"{issued.type_short}-{number or issued.pid.hex()}{later}.pdf"


def check_no_other_file(folder: Path, name: str, data: bytes) -> None:
    """Raises `Malformed` if the file to be written exists with other content."""
    path = folder / name
    if os.path.lexists(path) and not (path.is_file() and _holds(path, data)):
        raise Malformed(
            f"{name} stands in {folder} already, and is not what was issued under that name.",
            "Move it away, or name another folder.",
            code="OUT_TAKEN",
            zh=f"{folder} 中已有 {name}，但内容不是所签发的文件。请移走它，或换一个输出目录。",
        )


def write_out(folder: Path, name: str, data: bytes) -> None:
    """Writes a file completely or not at all, unless it exists with the same bytes. Raises `Malformed`,
    `StorageError`."""
    path = folder / name
    check_no_other_file(folder, name, data)
    if path.exists():
        return
    replace_out(path, data)


def replace_out(path: Path, data: bytes) -> None:
    """Writes a file durably and completely or not at all, replacing an existing one. Raises `StorageError`
    (OUT_FAILED)."""
    try:
        write_durably(path, data)
    except StorageError as exc:
        why = getattr(exc.__cause__, "strerror", None) or exc.what
        raise StorageError(
            f"{path.name} cannot be written to {path.parent}: {why}. What is issued is in the register.",
            "Make room and give the same command again: it writes the files and issues nothing twice.",
            code="OUT_FAILED",
            zh=f"{path.name} 无法写入 {path.parent}（{why}）。已签发的证照都在登记库中；"
            "腾出空间后重新运行同一命令，即可补写文件，不会重复签发。",
        ) from exc


def _holds(path: Path, data: bytes) -> bool:
    return path.stat().st_size == len(data) and path.read_bytes() == data


def _unusable(folder: Path, why: str, why_zh: str) -> Malformed:
    return Malformed(
        f"The folder {folder} cannot be written to: {why}. Nothing was issued.",
        "Name another with --out.",
        code="OUT_UNUSABLE",
        zh=f"输出目录 {folder} 不可用：{why_zh}。尚未签发任何证照，请用 --out 指定其他目录。",
    )
