"""Secret and public files of identities; the rules are those of `multicloud.files`."""

from multicloud.files import (
    make_private_folder,
    read_public,
    read_secret,
    write_public,
    write_secret,
)

__all__ = ["make_private_folder", "read_public", "read_secret", "write_public", "write_secret"]
