"""The one exception for bad input."""


class InputError(ValueError):
    """Bad input, said in one line that names the value and the remedy.

    The command line prints the message without a traceback and leaves with exit code 2.
    """
