"""Datasets that come as one archive: fetched once, checked, unpacked."""

from pathlib import Path

from mmengine import dist
from mmpretrain.datasets.utils import check_integrity, download_and_extract_archive


def fetch_archive(name: str, url: str, md5: str, folder: str | Path) -> None:
    """Download a dataset's archive into a folder, check its MD5 and unpack it there.

    The first process does it, the others wait. An archive that is there already and
    intact is only unpacked. FileNotFoundError if it cannot be had.
    """
    folder = Path(folder)
    archive = folder / Path(url).name
    if dist.is_main_process():
        try:
            download_and_extract_archive(url, str(folder), md5=md5)
        except (OSError, RuntimeError) as error:
            state = 'missing'
            if archive.is_file() and not check_integrity(str(archive), md5):
                state = f'damaged (its md5 is not {md5})'
            raise FileNotFoundError(
                f'{name} is not in {folder}, {archive} is {state} and downloading '
                f'{url} failed ({error}): bring the archive or its content there'
            ) from error
    dist.barrier()
