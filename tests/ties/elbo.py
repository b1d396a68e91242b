"""Ties of chapter 9."""

from ties import Ties

TIES: Ties = {}
