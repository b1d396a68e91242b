"""Ties of chapter 1, which is about laws of pictures in general and not about any of the package's functions."""

from ties import Ties

TIES: Ties = {}
