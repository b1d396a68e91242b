"""What the course shows: one style for all figures, grids of images, a slider that works without a kernel."""

from diffcourse.show.grid import draw_grid, image_grid, save_grid
from diffcourse.show.slider import frame_slider
from diffcourse.show.style import use_style

__all__ = ["draw_grid", "frame_slider", "image_grid", "save_grid", "use_style"]
