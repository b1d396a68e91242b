"""Ties of chapter 20."""

from ties import Ties

TIES: Ties = {}
