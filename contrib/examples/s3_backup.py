"""Back up a folder to S3 by boto3, which sends its requests by this library.

Only what has changed is sent, by eight threads on one client: a file whose size is another one, or
whose time is later than that of its object. S3 verifies the checksum that boto3 sends with each
file, and keeps the time of the file beside it. With ``--restore`` the files come back, with their
times.

Run: ``python3 contrib/examples/s3_backup.py [--restore] FOLDER BUCKET [PREFIX]``. Needs boto3.
Credentials are where boto3 looks for them; AWS_ENDPOINT_URL names a service that is not Amazon's.
``python3 -m dugong_like sync`` does more.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from dugong_like.adapters.botocore import install

THREADS = 8
WITHOUT_THREADS = TransferConfig(use_threads=False)  # as there are some already
ERRORS = (Boto3Error, BotoCoreError, ClientError, OSError)


class Backup:
    """A folder and its copy in a bucket."""

    def __init__(self, folder: Path, bucket: str, prefix: str) -> None:
        self.folder = folder
        self.bucket = bucket
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self.s3 = install(boto3.Session()).client("s3")

    def objects(self) -> dict[str, Any]:
        """Return what the bucket has, by relative path."""
        pages = self.s3.get_paginator("list_objects_v2")
        return {
            found["Key"].removeprefix(self.prefix): found
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix)
            for found in page.get("Contents", ())
        }

    def changed(self) -> list[str]:
        """Return the paths of files that the bucket does not have as they are."""
        stored = self.objects()
        paths = []
        for file in sorted(self.folder.rglob("*")):
            path = file.relative_to(self.folder).as_posix()
            if file.is_file() and not is_same(file.stat(), stored.get(path)):
                paths.append(path)
        return paths

    def send(self, path: str) -> None:
        """Store one file, with its time."""
        file = self.folder / path
        extra = {"Metadata": {"mtime": str(file.stat().st_mtime)}, "ChecksumAlgorithm": "CRC32"}
        self.s3.upload_file(
            str(file), self.bucket, self.prefix + path, ExtraArgs=extra, Config=WITHOUT_THREADS
        )

    def fetch(self, path: str) -> None:
        """Restore one file, with its time."""
        file = self.folder / path
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise OSError(f"{path} leads out of the folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        key = self.prefix + path
        self.s3.download_file(self.bucket, key, str(file), Config=WITHOUT_THREADS)
        metadata = self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        if mtime := metadata.get("mtime"):
            os.utime(file, (float(mtime), float(mtime)))


def is_same(status: os.stat_result, stored: dict[str, Any] | None) -> bool:
    """Return True if an object is as large as a file, and not older."""
    return (
        stored is not None
        and stored["Size"] == status.st_size
        and stored["LastModified"].timestamp() >= status.st_mtime
    )


def all_of(paths: list[str], do: Callable[[str], None]) -> int:
    """Call *do* with each path, in threads; return how many have failed."""

    def one(path: str) -> int:
        try:
            do(path)
        except ERRORS as exc:
            print(f"{path}: {exc}", file=sys.stderr)
            return 1
        return 0

    with ThreadPoolExecutor(THREADS) as executor:
        return sum(executor.map(one, paths))


def main(arguments: list[str] | None = None) -> int:
    """Back up or restore, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--restore", action="store_true", help="the other way round")
    parser.add_argument("folder", type=Path)
    parser.add_argument("bucket")
    parser.add_argument("prefix", nargs="?", default="")
    options = parser.parse_args(arguments)
    backup = Backup(options.folder, options.bucket, options.prefix)
    try:
        if options.restore:
            paths = [path for path in backup.objects() if not path.endswith("/")]
        else:
            paths = backup.changed()
    except ERRORS as exc:
        print(exc, file=sys.stderr)
        return 1
    failed = all_of(paths, backup.fetch if options.restore else backup.send)
    print(f"{len(paths) - failed} files {'restored' if options.restore else 'sent'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
