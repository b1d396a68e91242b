"""All families on the same images, with equally many weights and the same budget: trained, measured, and put side by side."""

from diffcourse.comparison.report import HEADINGS, Cell, figure, rows, table
from diffcourse.comparison.run import Settings, compare, run_one

__all__ = ["HEADINGS", "Cell", "Settings", "compare", "figure", "rows", "run_one", "table"]
