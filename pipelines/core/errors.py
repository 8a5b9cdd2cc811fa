"""The errors a person may read."""


class TurnaroundError(Exception):
    """Its text is shown to a person exactly as it stands: what happened, why, what to do next.

    Any other exception is a bug: it is logged with its trace, and the visitor gets an apology with an id.
    """


class Cancelled(TurnaroundError):
    """The visitor asked for the work to stop. Raised by `Report`, passed up through every loop."""

    def __init__(self, message: str = "Stopped.") -> None:
        super().__init__(message)
