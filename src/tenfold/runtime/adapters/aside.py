"""An error that says nothing of the dependency, on its way past the policies."""


class Aside(BaseException):
    """Carries an error out of an attempt, or None. No Exception: the policies are told IGNORED, nothing is repeated."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__(error)
        self.error = error
