"""A file is as it was or as it shall be, at a full disk or a kill at any moment; what is no file is not opened."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crossentropy import _disk
from crossentropy._disk import ChangedError, check_writable, kind, write

OLD, NEW = b"old\n" * 50_000, b"new\n" * 60_000
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_bytes(OLD)
    return file


# what is kept


def test_files_are_replaced_and_made(file: Path) -> None:
    write({file: NEW, file.with_name("more"): b""})
    assert (file.read_bytes(), file.with_name("more").read_bytes()) == (NEW, b"")
    assert left(file.parent) == ["more", "train.py"]


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o4711, 0o222])
def test_the_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    write({file: NEW})
    assert stat.S_IMODE(file.stat().st_mode) == mode


@POSIX
def test_a_new_file_has_the_mode_that_others_have(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write({tmp_path / "new": NEW})
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be root")
def test_the_owner_is_kept(file: Path) -> None:
    os.chown(file, 1234, 4321)
    file.chmod(0o640)
    write({file: NEW})
    status = file.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 4321, 0o640)


@POSIX
def test_an_owner_that_cannot_be_kept_is_an_error(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    was = file.stat
    monkeypatch.setattr(os, "chown", refused)
    monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result([*was()[:4], 7 + len(self.name), *was()[5:]]))
    with pytest.raises(PermissionError, match="its owner or group could not be kept"):
        write({file: NEW})
    monkeypatch.undo()
    assert file.read_bytes() == OLD
    assert left(file.parent) == ["train.py"]


@POSIX
def test_extended_attributes_are_kept(file: Path) -> None:
    if not hasattr(os, "setxattr"):
        pytest.skip("this system has none")
    try:
        os.setxattr(file, "user.note", b"kept")
    except OSError:
        pytest.skip("this file system has none")
    write({file: NEW})
    assert os.getxattr(file, "user.note") == b"kept"


@POSIX
@pytest.mark.parametrize("target", ["real/train.py", "../real/train.py"])
def test_a_link_still_leads_to_the_file(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    real, link = tmp_path / "real" / "train.py", tmp_path / "links" / "train.py"
    real.write_bytes(OLD)
    link.symlink_to(target if target.startswith("..") else real)
    second = tmp_path / "second.py"
    second.symlink_to(link)
    write({second: NEW})
    assert link.is_symlink()
    assert second.is_symlink()
    assert real.read_bytes() == NEW
    assert not real.is_symlink()
    assert left(tmp_path / "links") == left(tmp_path / "real") == ["train.py"]


@POSIX
def test_a_link_to_nothing_makes_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write({tmp_path / "link": NEW})
    assert (tmp_path / "target").read_bytes() == NEW
    assert (tmp_path / "link").is_symlink()


@POSIX
def test_other_names_keep_the_old_content(file: Path) -> None:
    os.link(file, file.with_name("backup.py"))
    write({file: NEW})
    assert file.read_bytes() == NEW
    assert file.with_name("backup.py").read_bytes() == OLD


# what is refused


def test_what_changed_meanwhile_is_not_overwritten(file: Path) -> None:
    other = file.with_name("model.py")
    other.write_bytes(OLD)
    file.write_bytes(OLD + b"edited")
    with pytest.raises(ChangedError, match=r"it changed meanwhile and was not overwritten: .*train\.py"):
        write({other: NEW, file: NEW}, instead_of={other: OLD, file: OLD})
    assert other.read_bytes() == OLD  # nor is any other
    assert file.read_bytes() == OLD + b"edited"
    file.unlink()
    with pytest.raises(ChangedError):
        write({file: NEW}, instead_of={file: OLD})
    assert left(file.parent) == ["model.py"]


def test_a_change_while_it_is_being_written_is_seen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def synced(descriptor: int) -> None:
        file.write_bytes(b"saved by an editor")

    monkeypatch.setattr(os, "fsync", synced)
    with pytest.raises(ChangedError):
        write({file: NEW}, instead_of={file: OLD})
    assert file.read_bytes() == b"saved by an editor"
    assert left(file.parent) == ["train.py"]


@POSIX
@pytest.mark.parametrize("call", ["open", "fsync", "replace", "chmod"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_call_that_fails_loses_nothing(file: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(*((Path, "chmod") if call == "chmod" else (os, call)), fails)
        with pytest.raises(OSError, match="train") as caught:
            write({file: NEW})
    assert (caught.value.errno, caught.value.filename) == (code, str(file))
    assert file.read_bytes() == OLD
    assert left(file.parent) == ["train.py"]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)


ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(_disk.__file__).parents[1])}
WRITES = "import sys; from pathlib import Path; from crossentropy._disk import write\n"
LIMITED = (
    WRITES
    + """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
write({Path(name): b"new" * 100_000 for name in sys.argv[1:]})
"""
)


@POSIX
def test_a_limit_on_sizes_loses_nothing(file: Path) -> None:
    small = file.with_name("a small one.py")
    small.write_bytes(b"small")
    done = run(LIMITED, small, file)
    assert "File too large" in done.stderr
    assert (small.read_bytes(), file.read_bytes()) == (b"small", OLD)
    assert left(file.parent) == ["a small one.py", "train.py"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a file system of Linux")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not permitted: errors of each call are tested above")
    try:
        (disk / "train.py").write_bytes(OLD)
        with pytest.raises(OSError, match=r"No space left on device.*train\.py"):
            write({disk / "train.py": NEW})
        assert (disk / "train.py").read_bytes() == OLD
        assert left(disk) == ["train.py"]
    finally:
        subprocess.run(["umount", disk], check=True)


AS_SOMEONE = (
    WRITES
    + """
import os
if os.geteuid() == 0:  # who may do everything
    os.setuid(65534)
write({Path(sys.argv[1]): b"new"})
"""
)


def for_all(folder: Path, mode: int) -> None:
    """Let other users into a folder of pytest's, and give it a mode."""
    for path in (folder, *folder.parents[:2]):
        if path.stat().st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o055)
    folder.chmod(mode)


@POSIX
def test_a_folder_that_cannot_be_written_loses_nothing(file: Path) -> None:
    for_all(file.parent, 0o555)
    file.chmod(0o666)
    done = run(AS_SOMEONE, file)
    file.parent.chmod(0o755)
    assert f"PermissionError: [Errno 13] Permission denied: '{file}'" in done.stderr
    assert file.read_bytes() == OLD


@POSIX
def test_a_file_that_may_not_be_written_is_not_replaced(file: Path) -> None:
    for_all(file.parent, 0o777)
    file.chmod(0o444)
    done = run(AS_SOMEONE, file)
    assert f"PermissionError: [Errno 13] Permission denied: '{file}'" in done.stderr
    assert file.read_bytes() == OLD


KILLED = (
    WRITES
    + """
old, new = (Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes())
print("ready", flush=True)
while True:
    for content in (new, old):
        write({Path(sys.argv[1]): content})
"""
)


@POSIX
def test_a_kill_at_any_moment_loses_nothing(file: Path) -> None:
    (file.parent / "new").write_bytes(NEW)
    seen = set()
    for turn in range(40):
        command = [sys.executable, "-c", KILLED, str(file), str(file.parent / "new")]
        file.write_bytes(OLD)
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(turn * 0.0007)
            process.send_signal(signal.SIGKILL)
        content = file.read_bytes()
        assert content in (OLD, NEW)
        seen.add(content == NEW)
    assert seen == {False, True}  # else the kills came too early, or too late
    extra = [name for name in left(file.parent) if name not in ("new", "train.py")]
    assert all(name.startswith(".crossentropy-") and name.endswith(".tmp") for name in extra)


# what is no file


@POSIX
def test_kinds(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)  # names of sockets are short
        listening.bind("socket")
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("pipe")
        found = {name: kind(tmp_path / name) for name in ("pipe", "socket", "file", "link", ".")}
    assert found == {"pipe": "named pipe", "socket": "socket", "file": "file", "link": "named pipe", ".": "folder"}
    assert kind("/dev/null") == "device"
    with pytest.raises(FileNotFoundError):
        kind(tmp_path / "missing")


@POSIX
def test_pipes_and_devices_are_written_to_as_they_are(tmp_path: Path) -> None:
    check_writable(Path("/dev/null"))
    write({Path("/dev/null"): NEW})
    assert kind("/dev/null") == "device"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as cat:
        write({pipe: b"small"})
        assert cat.communicate()[0] == b"small"
    assert kind(pipe) == "named pipe"


@POSIX
def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing" / "file", Path("/proc/version"), Path("/dev")):
        with pytest.raises(OSError, match=path.name):
            check_writable(path)
    check_writable(tmp_path / "new")
    assert left(tmp_path) == []
