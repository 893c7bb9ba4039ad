"""What the disk or the system refused, in one line."""


def in_words(error: OSError, where: object = "a file") -> str:
    """Return the line of an error of the operating system: file, what was found, what to do."""
    where, found = error.filename or where, error.strerror or error
    line = f"{where}: found {found}; expected a disk with room and permission; check the path"
    return " ".join(line.split())
