"""Where copies of binary logs are: in a folder, or in S3."""

import os
import shutil
from pathlib import Path
from typing import Any


def at(address: str) -> "Folder | Bucket":
    """Return the place with this address: a folder's path, or s3://BUCKET/PREFIX."""
    return Bucket(address) if address.startswith("s3://") else Folder(Path(address))


class Folder:
    """A folder. What has its final name there is complete, even after a power cut."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the names of all copies, such as UUID/20261128T101500Z-binlog.000007."""
        return sorted(str(p.relative_to(self.path)) for p in self.path.rglob("*-binlog.*[0-9]"))

    def put(self, file: Path, name: str) -> None:
        """Copy a file to this place."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with file.open("rb") as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
            target.flush()
            os.fsync(target.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def get(self, name: str, file: Path) -> None:
        """Copy a file from this place."""
        shutil.copyfile(self.path / name, file)


class Bucket:
    """A bucket of S3, in which an object appears when its upload is complete."""

    def __init__(self, address: str) -> None:
        import boto3  # noqa: PLC0415 - takes half a second, which a folder does not need

        self.bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self.client: Any = boto3.client("s3")

    def names(self) -> list[str]:
        """Return the names of all copies."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        keys = (each["Key"] for page in pages for each in page.get("Contents", []))
        return sorted(key.removeprefix(self.prefix) for key in keys)

    def put(self, file: Path, name: str) -> None:
        """Upload a file."""
        self.client.upload_file(str(file), self.bucket, self.prefix + name)

    def get(self, name: str, file: Path) -> None:
        """Download a file."""
        self.client.download_file(self.bucket, self.prefix + name, str(file))
