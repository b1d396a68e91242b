"""Ties of chapter 8."""

from ties import Ties

TIES: Ties = {}
