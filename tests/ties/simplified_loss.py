"""Ties of chapter 10."""

from ties import Ties

TIES: Ties = {}
