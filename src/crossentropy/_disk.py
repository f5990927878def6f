"""Files of users: what is no file is not opened, and a file that is written is replaced whole or not at all.

A file is replaced by one that was written beside it, under a name of its own, and is on the disk (fsync) before it is
renamed. A full disk, a limit or the end of the process at any moment leave the file as it was, or as it shall be; at
worst a file `.crossentropy-….tmp` stays behind. What is kept is its mode, owner, extended attributes, and that a link
leads to it. Its other names (hard links) keep the old content, as they do after sed, git and most editors.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["file", "folder", "named pipe", "socket", "device"]

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class ChangedError(OSError):
    """A file is no longer what was read, and was not overwritten."""


def kind(path: str | Path) -> Kind:
    """What a path, or the link there, leads to; OSError if to nothing. It is not opened, which could wait for ever."""
    return _KINDS[stat.S_IFMT(os.stat(path).st_mode)]


def write(contents: Mapping[Path, bytes], *, instead_of: Mapping[Path, bytes] | None = None) -> None:
    """Write files, none if one of them cannot be written.

    Args:
        contents: What is to be in each. Pipes and devices are written to as they are.
        instead_of: What was read from files. One that holds something else by now is not overwritten, nor is any other.

    Raises:
        ChangedError: A file changed meanwhile.
        OSError: A file, which is named, cannot be written, or its owner not be kept.
    """
    special = [path for path in contents if _is_special(path)]
    with contextlib.ExitStack() as stack:
        files = ((path, data) for path, data in contents.items() if path not in special)
        staged = [stack.enter_context(_staged(path, data)) for path, data in files]
        for path, before in (instead_of or {}).items():
            _check_unchanged(path, before)
        for temporary, target in staged:
            with _named(target):
                os.replace(temporary, target)
        for folder in {target.parent for _, target in staged}:
            _sync(folder)
    for path in special:
        path.write_bytes(contents[path])


def check_writable(path: Path, *, parents: bool = False) -> None:
    """Raise OSError now if a file could not be written later, and leave nothing behind but folders for it, if asked."""
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    if not _is_special(path):
        with _staged(path, b""):
            pass
    elif kind(path) == "folder":
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    elif not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def _is_special(path: Path) -> bool:
    return path.exists() and kind(path) != "file"


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[tuple[Path, Path]]:
    """The new content under a name of its own, and the place where it belongs; whatever is left there is removed."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".crossentropy-{secrets.token_hex(8)}.tmp")
    try:
        with _named(path):
            before = target.stat() if target.exists() else None
            if before is not None and not os.access(target, os.W_OK):  # a rename would not ask
                raise PermissionError(errno.EACCES, "Permission denied")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            with open(os.open(temporary, flags, 0o666 if before is None else 0o600), "wb") as stream:
                stream.write(data)
                stream.flush()
                if before is not None:
                    _keep(temporary, target, before)
                os.fsync(stream.fileno())
        yield temporary, target
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def _keep(temporary: Path, target: Path, before: os.stat_result) -> None:
    """Give a file the attributes, owner and mode of the one that it is to replace."""
    if hasattr(os, "listxattr"):
        with contextlib.suppress(OSError):  # of a file system that has none; or of the system, which sets its own
            for name in os.listxattr(target):
                os.setxattr(temporary, name, os.getxattr(target, name))
    now = temporary.stat()
    if hasattr(os, "chown") and (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(temporary, before.st_uid, before.st_gid)
        except PermissionError as error:
            raise PermissionError(error.errno, "its owner or group could not be kept") from error
    temporary.chmod(stat.S_IMODE(before.st_mode))


def _check_unchanged(path: Path, before: bytes) -> None:
    try:
        unchanged = path.read_bytes() == before
    except FileNotFoundError:
        unchanged = False
    if not unchanged:
        raise ChangedError(None, "it changed meanwhile and was not overwritten", str(path))


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors are about a file by the name that was given."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _sync(folder: Path) -> None:
    """Let names survive a power cut. The files are in place: a file system that cannot do this is no error."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
