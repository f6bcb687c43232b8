"""The example that backs up a folder to S3, against the service of moto."""

import importlib.util
import os

import pytest
from kit.s3_site import LOGIN, new_client, new_session, s3_site
from kit.support import ROOT, installed

TREE = {"a": b"1", "empty": b"", "deep/er/ключ +&": b"2" * 100_000}


@pytest.fixture
def example(certificate, monkeypatch, tmp_path):
    installed("boto3", "sdk")
    file = ROOT / "contrib" / "examples" / "s3_backup.py"
    spec = importlib.util.spec_from_file_location("s3_backup", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in LOGIN.items():
        monkeypatch.setenv(name.upper().replace("REGION_NAME", "AWS_DEFAULT_REGION"), value)
    with s3_site(certificate) as urls:
        monkeypatch.setenv("AWS_ENDPOINT_URL", urls["http"])
        client = new_client(new_session(), urls["http"])
        client.create_bucket(Bucket="backup")
        yield module
        client.close()


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_backup_is_restored(example, tmp_path, capsys):
    folder, back = tmp_path / "folder", tmp_path / "back"
    for path, data in TREE.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
        os.utime(folder / path, (1e9, 1e9))

    assert example.main([str(folder), "backup", "today"]) == 0
    assert example.main([str(folder), "backup", "today"]) == 0
    (folder / "a").write_bytes(b"22")
    os.utime(folder / "a", (1e9, 1e9))
    assert example.main([str(folder), "backup", "today"]) == 0
    assert example.main(["--restore", str(back), "backup", "today/"]) == 0
    assert files_of(back) == files_of(folder)
    assert example.main([str(folder), "there-is-none"]) == 1
    numbers = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert numbers == ["3", "0", "1", "3"]


@pytest.mark.slow
def test_nothing_is_restored_elsewhere(example, tmp_path, capsys):
    client = example.Backup(tmp_path, "backup", "").s3
    client.put_object(Bucket="backup", Key="other/../../out", Body=b"1")

    assert example.main(["--restore", str(tmp_path / "back"), "backup", "other"]) == 1
    assert "leads out" in capsys.readouterr().err
