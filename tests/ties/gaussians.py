"""Ties of chapter 2."""

from ties import Ties

TIES: Ties = {}
