"""Debian's kernel for virtual machines, fetched once, and the modules that are needed of it."""

from __future__ import annotations

import lzma
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "linux-image-cloud-amd64"
"""35 MB; the general one has 108 MB and nothing that is needed here."""

MODULES = ("virtio_blk", "dm-mod", "dm-log-writes")
"""In the order in which they are loaded; ext4 is built in."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """What boots.

    `modules`: uncompressed, in the order of :data:`MODULES`.
    """

    image: Path
    modules: tuple[Path, ...]


def fetched(cache: Path) -> Kernel:
    """Return the kernel, downloaded from Debian's archive if it is not in the cache.

    Args:
        cache: a directory of ours; made if it is missing.

    Raises:
        RuntimeError: there is none to be had; the text says why.
    """
    kernel = Kernel(cache / "vmlinuz", tuple(cache / f"{name}.ko" for name in MODULES))
    if not all(path.exists() for path in (kernel.image, *kernel.modules)):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as work:
            _unpack(Path(work), kernel)
    return kernel


def _unpack(work: Path, kernel: Kernel) -> None:
    # The package itself depends on the one of the current version.
    depends = _said(["apt-cache", "depends", PACKAGE], work)
    found = re.search(r"linux-image-[0-9]\S*", depends)
    if found is None:
        raise RuntimeError(f"apt knows no {PACKAGE}; run apt-get update")
    _said(["apt-get", "download", "-q", found[0]], work)
    (package,) = work.glob("*.deb")
    _said(["dpkg-deb", "-x", str(package), "tree"], work)
    tree = work / "tree"
    for module, name in zip(kernel.modules, MODULES, strict=True):
        (packed,) = tree.rglob(f"{name}.ko.xz")
        module.write_bytes(lzma.decompress(packed.read_bytes()))
    (image,) = tree.glob("boot/vmlinuz-*")
    image.rename(kernel.image)


def _said(command: list[str], work: Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=work)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout
