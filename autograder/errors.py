"""The error that a person at the command line is shown as it stands: what was found, what was wanted, what to do."""


class AutograderError(Exception):
    """Something outside of the program must be mended; the message says what. The command line ends with code 2."""
