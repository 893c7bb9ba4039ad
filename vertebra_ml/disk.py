"""What the operating system refuses, in words."""


def disk_words(error: OSError, where: object = "a file") -> str:
    """Return one line about a full disk, a folder that is shut or a file that is not there."""
    where, found = error.filename or where, error.strerror or error
    line = f"{where}: found {found}; expected a disk with room and permission; check the path"
    return " ".join(line.split())
