"""The result of a check, for verify and selftest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """Result of a check.

    Parameters
    ----------
    passed : bool or None
        None: it could not be checked here.
    message : str
        Object of the check, or its fault.
    measured, tolerance : float, optional
        The number that decides, and the largest one that passes.
    """

    name: str
    passed: bool | None
    message: str
    measured: float | None = None
    tolerance: float | None = None

    @classmethod
    def within(cls, name: str, measured: float, tolerance: float, message: str) -> Check:
        """Return a check that passes up to a tolerance; NaN fails."""
        return cls(name, measured <= tolerance, message, measured, tolerance)
