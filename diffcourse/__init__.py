"""The package behind the course on diffusion models."""

__version__ = "0.1.0"
