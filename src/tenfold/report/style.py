"""How text may look: which characters the terminal takes, whether it takes colour, how wide it is."""

from dataclasses import dataclass

WIDTH_MAX = 120
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


@dataclass(frozen=True, slots=True)
class Style:
    """The look of a text report. The default is what a file or a pipe takes."""

    unicode: bool = True
    colour: bool = False
    width: int = 100

    def paint(self, text: str, *looks: str) -> str:
        """The text in bold, dim, red, green, yellow, blue or cyan; unchanged without colour. Pad before painting."""
        if not self.colour or not text.strip():
            return text
        return f"\033[{';'.join(_CODES[look] for look in looks)}m{text}\033[0m"

    def mark(self, passed: bool | None) -> str:
        """A check, a cross, or a question mark for what the run cannot tell."""
        if passed is None:
            return self.paint("?", "yellow")
        if passed:
            return self.paint("✓" if self.unicode else "+", "green")
        return self.paint("✗" if self.unicode else "x", "red")

    def state(self, state: str) -> str:
        """A state in its colour."""
        looks = {"METASTABLE": ("bold", "red"), "degraded": ("yellow",), "undecided": ("yellow",)}
        return self.paint(state, *looks.get(state, ("green",)))

    def rule(self, width: int) -> str:
        """A line across."""
        return self.paint(("─" if self.unicode else "-") * width, "dim")
